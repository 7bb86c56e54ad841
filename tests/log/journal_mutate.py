#!/usr/bin/env python3
"""Break the journal in one place at a time, and see that its simulation notices.

Each mutant of log/ is compiled with tests/log/journal_sim.c against the objects of a build that is there, and run over many
seeds. One that no scenario fails is a survivor: a step that does nothing, or a simulation that looks away. Exit 1 then.

    tests/log/journal_mutate.py --build build/release
"""
import argparse
import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

SOURCES = ["frame.c", "extents.c", "journal.c", "journal_read.c"]

# What it is, and what is changed: file, what is there, what takes its place.
MUTANTS = [
    ("a frame's write is not durable",
     [("journal.c", ".done = on_written, .durable = true}", ".done = on_written}")]),
    ("a frame is acknowledged when its write starts",
     [("journal.c", "    journal->writing = frame;\n", "    journal->writing = frame;\n    tell_commits(&frame->commits, 0);\n")]),
    ("a short or failed write is taken for a whole one",
     [("journal.c", "bool whole = result >= 0 && (size_t)result == journal->iov.iov_len;", "bool whole = true;")]),
    ("a journal goes on after a failed write",
     [("journal.c", "        die(journal, result < 0 ? result : -EIO);", "        ;")]),
    ("the name of an extent is not synced",
     [("extents.c", "else if (!extents->making->is_named)", "else if (false)")]),
    ("the name of an extent counts before it is synced",
     [("extents.c", "static void sync_name(struct weir_extents *extents)\n{\n",
       "static void sync_name(struct weir_extents *extents)\n{\n    struct weir_extent *early = extents->making;\n"
       "    extents->making = NULL;\n    early->is_named = true;\n    get_ready(extents, early);\n    return;\n")]),
    ("an extent is free one frame too early",
     [("journal.c", "->first_sequence > journal->released)", "->first_sequence > journal->released + 1)")]),
    ("an extent is begun without its header",
     [("journal.c", "    if (extent->used > 0)\n        return;", "    if (extent->used > 0 || !extent->is_new)\n        return;")]),
    ("the header of an extent says its number only",
     [("journal.c", "next->first_sequence = next->end_sequence = frame->sequence;", "next->end_sequence = frame->sequence;")]),
    ("checksums of frames are not looked at",
     [("frame.c", "get32(bytes + 4) == frame_crc(extent->salt, bytes, head_out->entry_bytes)", "true")]),
    ("neither salt nor sequence of a frame is looked at",
     [("journal.c", "next->salt = (uint32_t)weir_io_random(journal->reactor->io);", "next->salt = 0;"),
      ("journal_read.c", " || head_out->sequence != sequence)", ")"),
      ("journal_read.c", "weir_frame_read(*bytes_out, (size_t)count, extent, sequence, head_out)",
       "weir_frame_read(*bytes_out, (size_t)count, extent, head_out->sequence, head_out)")]),
    ("the run of an extent is not looked at",
     [("journal_read.c", "head->run == reading->run &&", "")]),
    ("reading ends with the first extent",
     [("journal_read.c", "if (result < 0 || ++index == reading->found_count)", "if (true)")]),
    ("a frame is appended to while it is written",
     [("journal.c", "    if (journal->filling == frame)\n        journal->filling = NULL;\n", "")]),
    ("what waits is told before what is being written",
     [("journal.c", "    if (journal->writing) /* it may still succeed: whatever comes of it is told first */\n        return;\n", "")]),
    ("nobody goes on when an extent is ready",
     [("journal.c", "    if (!journal->closing)\n        weir_reactor_arm_hook(journal->reactor, &journal->hook);\n    if (extents->error",
       "    if (extents->error")]),
    ("an extent whose first frame is being written is counted",
     [("journal.c", " || extent->end_sequence == extent->first_sequence)", ")")]),
    ("nobody tries again when the disk was full",
     [("extents.c", "    extents->waits = false;\n    make(extents);", "    extents->waits = false;")]),
]


def build(args, folder, changes):
    shutil.copytree(os.path.join(args.source, "log"), os.path.join(folder, "log"))
    for name, old, new in changes:
        path = pathlib.Path(folder, "log", name)
        text = path.read_text()
        if text.count(old) != 1:
            sys.exit(f"journal_mutate: log/{name} has {text.count(old)} times, not once: {old}")
        path.write_text(text.replace(old, new))
    objects = [str(o) for room in ("base", "ring", "sched", "runtime")
               for o in pathlib.Path(args.build, "CMakeFiles", f"weir_{room}_objects.dir").rglob("*.o")]
    program = os.path.join(folder, "journal_sim")
    subprocess.run([args.cc, "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-g", "-w", "-fno-strict-aliasing", "-I", folder, "-I", args.source,
                    "-I", args.source + "/include", f"{args.source}/tests/log/journal_sim.c",
                    *[f"{folder}/log/{name}" for name in SOURCES], *objects, "-luring", "-lcmocka", "-lpthread",
                    "-Wl,--gc-sections", "-ffunction-sections", "-o", program], check=True)
    return program


def try_mutant(args, changes):
    """None: it passed. Otherwise what it said."""
    with tempfile.TemporaryDirectory(prefix="mutate") as folder:
        program = build(args, folder, changes)
        environment = dict(os.environ, WEIR_SIM_SEEDS=str(args.seeds))
        try:
            run = subprocess.run([program], cwd=folder, env=environment, capture_output=True, text=True, timeout=args.timeout)
        except subprocess.TimeoutExpired:
            return f"did not end in {args.timeout} s"
    if run.returncode == 0:
        return None
    said = [line for line in (run.stdout + run.stderr).split("\n") if "_sim.c:" in line or "assertion" in line or "exception" in line]
    return said[0] if said else f"exit {run.returncode}"


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default=os.path.dirname(os.path.dirname(here)))
    parser.add_argument("--build", required=True, help="a build directory whose objects of base to runtime are up to date")
    parser.add_argument("--cc", default="cc")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=400, help="of each scenario")
    parser.add_argument("--timeout", type=int, default=120)
    args = parser.parse_args()
    if try_mutant(args, []) is not None:
        sys.exit("journal_mutate: the journal as it is fails")
    survivors = 0
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for (what, _), said in zip(MUTANTS, pool.map(lambda mutant: try_mutant(args, mutant[1]), MUTANTS)):
            survivors += said is None
            print(f"{'SURVIVED' if said is None else 'caught':8}  {what}\n{'':10}{said or ''}", flush=True)
    print(f"{len(MUTANTS)} mutants, {len(MUTANTS) - survivors} caught")
    sys.exit(1 if survivors else 0)


main()
