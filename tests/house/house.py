"""house.py - the rules of the house as functions: each takes the root of a tree and returns complaints.

A complaint is "file:line: what is wrong". The tests beside this file print them; self_test.py plants a tree that
breaks each rule and looks for the complaint, so that no rule can fall silent.
"""
import re
from pathlib import Path

FILE_LINES_MAX = 800
FUNCTION_LINES_MAX = 100
MODEL_DOOR = ("base/atomic.h", "tests/model/explore.h")  # the one way in for the explorer of interleavings
LIBRARY = ("base", "ring", "sched", "runtime", "log", "broker", "wire")  # one process may hold two of these


def rooms(root):
    """The weir_room() lines: {name: rooms it may include, itself among them}, in the order they stand."""
    found = {}
    text = (root / "CMakeLists.txt").read_text()
    for match in re.finditer(r"^weir_room\(([^)]*)\)", text, re.M):
        words = match.group(1).split()
        name, used, keyword = words[0], set(), None
        for word in words[1:]:
            if word in ("USES", "FOLDERS", "LINKS"):
                keyword = word
            elif keyword == "USES":
                used |= found.get(word, {word})
        found[name] = used | {name}
    return found


def sources(root, folder):
    return sorted(p for p in (root / folder).rglob("*") if p.suffix in (".c", ".h", ".cc"))


def code(path):
    """The file without comments and strings, line for line."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group(0)) if match.group(0)[0] == "/" else '""'
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', blank, path.read_text(), flags=re.S).split("\n")


def includes(path):
    for number, line in enumerate(path.read_text().split("\n"), 1):
        match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if match:
            yield number, match.group(1), match.group(2)


def arrows(root):
    """No #include points up, out of the house, or across from one protocol to another."""
    allowed = rooms(root)
    for room, below in allowed.items():
        for path in sources(root, room):
            here = path.relative_to(root)
            for number, quote, name in includes(path):
                first = name.split("/")[0]
                if (str(here), name) == MODEL_DOOR:
                    continue
                if quote == "<" and first != "weir" and first in allowed:
                    yield f'{here}:{number}: a room is included as "{name}", with quotes'
                elif quote == '"' and first not in allowed:
                    yield f'{here}:{number}: "{name}" does not begin with a room; paths start at the root'
                elif quote == '"' and first not in below:
                    yield f"{here}:{number}: {room} may not include {first}: CMakeLists.txt does not say it USES it"
                elif quote == '"' and not (root / name).exists():
                    yield f'{here}:{number}: "{name}" is not there'
                elif quote == '"' and first == room == "wire" and len(here.parts) > 2 < len(Path(name).parts) \
                        and name.split("/")[1] != here.parts[1]:
                    yield f'{here}:{number}: one protocol may not include another: "{name}"'


def public(root):
    """What is installed includes only itself and the system; examples include only what is installed."""
    for folder in ("include/weir", "examples"):
        for path in sources(root, folder):
            for number, quote, name in includes(path):
                if quote == '"' and not (folder == "examples" and "/" not in name):
                    yield f'{path.relative_to(root)}:{number}: "{name}" is not installed'


def shape(root):
    """Files and functions that fit in a head."""
    for folder in list(rooms(root)) + ["include", "tests", "examples", "bench"]:
        for path in sources(root, folder):
            if "node_modules" in path.parts:
                continue
            here, lines = path.relative_to(root), path.read_text().split("\n")
            if len(lines) - 1 > FILE_LINES_MAX:
                yield f"{here}:{FILE_LINES_MAX + 1}: {len(lines) - 1} lines; {FILE_LINES_MAX} is the most"
            opened = None
            for number, line in enumerate(lines, 1):
                if line == "{":
                    opened = number
                elif line == "}" and opened:
                    if folder in rooms(root) and number - opened - 1 > FUNCTION_LINES_MAX:
                        yield f"{here}:{opened}: a function of {number - opened - 1} lines; " \
                              f"{FUNCTION_LINES_MAX} is the most"
                    opened = None


def thread_locals(root):
    """A reactor is handed its state. A node of many reactors runs on one thread in the simulator."""
    for room in LIBRARY:
        for path in sources(root, room) if (root / room).is_dir() else []:
            for number, line in enumerate(code(path), 1):
                if re.search(r"\b(_Thread_local|__thread|thread_local)\b", line):
                    yield f"{path.relative_to(root)}:{number}: thread-local state"


def statics(object_dump, allowed):
    """Objects that can change and belong to no runtime, from `objdump -t`; `allowed` maps a name to its reason."""
    file = "?"
    for line in object_dump.split("\n"):
        if ":     file format" in line:
            file = re.sub(r".*CMakeFiles/[^/]*/(\./)?|\.o$", "", line.split(":")[0])
        match = re.match(r"[0-9a-f]+ (.{7}) (\S+)\s+([0-9a-f]+)\s+(?:\.hidden )?(\S+)$", line)
        if not match:
            continue
        flags, section, size, name = match.groups()
        base = name.split(".")[0]
        if re.match(r"(\.t?data|\.t?bss|\*COM\*)(?!\.rel\.ro)", section) and int(size, 16) and "O" in flags \
                and base not in allowed:
            yield f"{file}:1: `{base}` can change and belongs to no runtime ({section}, {int(size, 16)} bytes)"


def promised(root):
    """Names of functions the public headers declare: {name: "file:line"}."""
    found = {}
    for path in sources(root, "include/weir"):
        # Macros aside; the lines stay where they are.
        text = re.sub(r"^#.*(\\\n.*)*", lambda macro: "\n" * macro.group(0).count("\n"), "\n".join(code(path)), flags=re.M)
        for match in re.finditer(r"WEIR_API\b([^;]*);", text):
            name = re.search(r"(weir_\w+)\s*\(", match.group(1)) or re.search(r"(weir_\w+)\s*(?:\[|$)", match.group(1))
            if name:
                line = text.count("\n", 0, match.start()) + 1
                found[name.group(1)] = f"{path.relative_to(root)}:{line}"
    return found


def symbols(root, names):
    """What the shared library exports is what the headers promise, both ways."""
    promise = promised(root)
    for name in sorted(set(names) - set(promise)):
        yield f"include/weir:1: {name} is exported and no header declares it"
    for name, where in promise.items():
        if name not in names:
            yield f"{where}: {name} is declared and the library does not have it"


def pages(root):
    """Every function that is promised has its name and its prototype in a page of docs/man."""
    text = "\n".join(p.read_text() for p in sorted((root / "docs/man").glob("*.3")))
    for name, where in promised(root).items():
        if not re.search(rf"^\.Nm {name}\b", text, re.M) or not re.search(rf"^\.F[no] {name}\b", text, re.M):
            yield f"{where}: {name} has no page in docs/man"
    for name in re.findall(r"^\.F[no] (weir_\w+)", text, re.M):
        if name not in promised(root):
            yield f"docs/man:1: {name} has a page and no header declares it"


def words(root):
    """Every option and every setting stands where people look for it: pages, and completions of three shells."""
    options = re.findall(r'\{"([a-z-]+)",\s*(?:required|no|optional)_argument', (root / "serve/options.c").read_text())
    page = (root / "docs/man/weir-serve.1").read_text()
    shells = {f"share/completions/{name}": mark for name, mark in
              (("weir.bash", "--{}"), ("_weir", "--{}"), ("weir.fish", "-l {}"))}
    for option in options:
        if not re.search(rf"^\.It Fl (\w , )?-{option}(?![\w-])", page, re.M):
            yield f"docs/man/weir-serve.1:1: --{option} is not explained"
        for file, mark in shells.items():
            if not re.search(re.escape(mark.format(option)) + r"(?![\w-])", (root / file).read_text()):
                yield f"{file}:1: --{option} is not completed"
    page = (root / "docs/man/weir.conf.5").read_text()
    for key in re.findall(r'\{"([a-z_]+)", [a-z_]+\}', (root / "serve/config.c").read_text()):
        if not re.search(rf"^\.(It Ic|Ic|Ss)\b.*\b{key}\b", page, re.M):
            yield f"docs/man/weir.conf.5:1: the setting {key} is not explained"


def report(title, complaints):
    complaints = list(complaints)
    for complaint in complaints:
        print(complaint)
    print(f"{title}: {len(complaints)} complaints")
    return 1 if complaints else 0
