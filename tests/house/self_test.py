#!/usr/bin/env python3
"""self_test.py - every rule of house.py complains, with file and line, about a tree that breaks it, and only then."""
import tempfile
import unittest
from pathlib import Path
import house

CMAKE = "weir_room(base)\nweir_room(ring USES base)\nweir_room(wire USES ring FOLDERS resp kafka)\n"


class Rules(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.root = Path(self.folder.name)
        self.plant("CMakeLists.txt", CMAKE)
        self.plant("base/bytes.h", "\n")
        self.plant("ring/spsc.h", '#include "base/bytes.h"\n#include <stdint.h>\n#include <weir/base.h>\n')

    def plant(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def complaint(self, found, *words):
        found = list(found)
        self.assertEqual(len(found), 1, found)
        for word in words:
            self.assertIn(word, found[0])

    def test_a_tree_that_keeps_the_rules_hears_nothing(self):
        self.assertEqual([*house.arrows(self.root), *house.public(self.root), *house.shape(self.root),
                          *house.thread_locals(self.root)], [])

    def test_an_include_that_points_up_is_named_with_its_line(self):
        self.plant("base/bytes.c", '\n\n#include "ring/spsc.h"\n')
        self.complaint(house.arrows(self.root), "base/bytes.c:3:", "may not include ring")

    def test_uses_are_transitive(self):
        self.plant("wire/resp/codec.c", '#include "base/bytes.h"\n')
        self.assertEqual(list(house.arrows(self.root)), [])

    def test_one_protocol_may_not_include_another(self):
        self.plant("wire/kafka/codec.h", "\n")
        self.plant("wire/resp/codec.c", '#include "wire/kafka/codec.h"\n')
        self.complaint(house.arrows(self.root), "wire/resp/codec.c:1:", "one protocol")

    def test_an_include_that_does_not_start_at_the_root_is_refused(self):
        self.plant("base/bytes.c", '#include "bytes.h"\n')
        self.complaint(house.arrows(self.root), "base/bytes.c:1:", "paths start at the root")

    def test_a_room_in_angle_brackets_is_refused(self):
        self.plant("base/bytes.c", "#include <ring/spsc.h>\n")
        self.complaint(house.arrows(self.root), "base/bytes.c:1:")

    def test_a_public_header_that_includes_a_room_is_refused(self):
        self.plant("include/weir/base.h", '#include "base/bytes.h"\n')
        self.complaint(house.public(self.root), "include/weir/base.h:1:")

    def test_a_long_file_and_a_long_function_are_named(self):
        self.plant("base/bytes.c", "int f(void)\n{\n" + "x;\n" * 101 + "}\n")
        self.plant("base/long.h", "\n" * 801)
        first, second = house.shape(self.root)
        self.assertIn("base/bytes.c:2: a function of 101 lines", first)
        self.assertIn("base/long.h:801: 801 lines", second)

    def test_thread_local_state_is_named_and_a_comment_about_it_is_not(self):
        self.plant("base/bytes.c", '/* no _Thread_local\n * here */\nstatic _Thread_local int x;\n')
        self.complaint(house.thread_locals(self.root), "base/bytes.c:3:")

    def test_what_can_change_is_told_from_what_cannot(self):
        dump = "a/CMakeFiles/weir_base_objects.dir/base/x.c.o:     file format elf64-x86-64\n" + "".join(
            f"0000000000000000 l     {kind} {section}\t0000000000000008 {name}\n" for kind, section, name in [
                ("O", ".bss", "count.0"), ("O", ".data.rel.ro.local", "table"), ("O", ".rodata", "text"),
                ("F", ".text", "run"), ("O", ".data", "excused"), ("d", ".bss", ".bss")])
        self.complaint(house.statics(dump, {"excused": "a reason"}), "base/x.c:1:", "`count`")

    def test_the_library_and_its_headers_must_agree(self):
        self.plant("include/weir/ring.h", "#define WEIR_API x\n/* WEIR_API int weir_no(void); */\n"
                   "WEIR_API WEIR_MUST_CHECK int weir_ring_open(int,\n    int);\nWEIR_API int weir_gone(void);\n")
        found = list(house.symbols(self.root, {"weir_ring_open", "stray"}))
        self.assertEqual(len(found), 2, found)
        self.assertIn("stray is exported", found[0])
        self.assertIn("include/weir/ring.h:5: weir_gone is declared", found[1])

    def test_a_promised_function_without_a_page_is_named(self):
        self.plant("include/weir/ring.h", "WEIR_API int weir_ring_open(void);\nWEIR_API int weir_gone(void);\n")
        self.plant("docs/man/weir_ring.3", ".Nm weir_ring_open\n.Fn weir_ring_open void\n")
        self.complaint(house.pages(self.root), "include/weir/ring.h:2:", "weir_gone")

    def test_an_option_or_a_setting_that_is_not_explained_is_named(self):
        self.plant("serve/options.c", '{"cores", required_argument},\n{"io", required_argument},\n')
        self.plant("serve/config.c", '{"cores", top_cores},\n{"io", top_io},\n')
        self.plant("docs/man/weir-serve.1", ".It Fl n , -cores Ar count\n.It Fl -io-level Ar version\n")
        self.plant("docs/man/weir.conf.5", ".It Ic cores\n.It Ic io_level\n")
        for shell in ("weir.bash", "_weir"):
            self.plant(f"share/completions/{shell}", "--cores --io-level\n")
        self.plant("share/completions/weir.fish", "-l cores -l io -x\n")
        self.assertEqual([complaint.split(":")[0] for complaint in house.words(self.root)], [
            "docs/man/weir-serve.1", "share/completions/weir.bash", "share/completions/_weir", "docs/man/weir.conf.5"])


if __name__ == "__main__":
    unittest.main()
