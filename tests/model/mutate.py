#!/usr/bin/env python3
"""Weaken ring/, and the hand-over of strands, in one place at a time, and see that a model notices.

Every order of an atomic access that is not relaxed becomes relaxed, every fence goes, and a few steps of
the protocols are taken out by hand. Each mutant is compiled with its models against the explorer; one that
no model fails is a survivor: an order that does nothing, or a model that looks away. Exit 1 for either.
"""
import argparse
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile

MODELS = {  # which models see a file, the likeliest to fail first
    "ring/spsc.h": ["ring/spsc", "ring/sleep"],
    "ring/sleep.h": ["ring/sleep"],
    "ring/mesh.c": ["ring/sleep"],
    "ring/deque.c": ["ring/deque"],
    "sched/steal.c": ["sched/strand"],
    "sched/pool_table.c": ["sched/pool_table"],
}
STEPS_ONLY = {"sched/steal.c"}  # its atomics are hints, relaxed, but for the deques' first laying out

# Orders that stand against what the explorer leaves out (its header says what); the source has the reason.
ARGUED = {
    "ring/deque.c: deque->top_seen = weir_load(&deque->top, acquire)": "load buffering: a thief's read after its swap",
    "ring/deque.c: if (!weir_compare_exchange(&deque->top, &top, top + 1, release))": "the other half of the same",
}

# Steps taken out by hand: file, what is there, what takes its place, what it is.
STEPS = [
    ("ring/mesh.c", "work |= something_to_read(mesh, side, plane, me);", ";", "no second look at what comes in"),
    ("ring/mesh.c", "work |= credit_came(mesh, side, plane, me);", ";", "no second look at the credit"),
    ("ring/mesh.c", "find_starved(mesh, &side->released[plane], plane, from, &touched);", ";", "nobody starved is told"),
    ("ring/mesh.c", "mark_pending(mesh, &side->dirty[plane], plane, from);", ";", "no pending bit"),
    ("ring/mesh.c", "weir_store(&channel->wanted, 1, relaxed);", ";", "credit is not asked for"),
    ("ring/mesh.c", "gave_back |= give_back(side, plane);", ";", "credit is not given back"),
    ("ring/mesh.c", "weir_exchange(word, 0, relaxed)", "weir_load(word, relaxed); weir_store(word, 0, relaxed)",
     "pending bits taken in two steps"),
    ("ring/mesh.c", "if (ready == 0)", "if (taken == ready)", "a leftover taken for a fresh look"),
    ("ring/sleep.h", "weir_store(&sleep->asleep, 1, relaxed);", ";", "no announcement"),
    ("ring/sleep.h", "return weir_exchange(&sleep->asleep, 0, relaxed) == 1;",
     "weir_store(&sleep->asleep, 0, relaxed); return false;", "the announcement taken, nobody woken"),
    ("ring/spsc.h", "if (consumer->read == consumer->tail_seen)\n        weir_consumer_release_all(consumer);", ";",
     "head not shown when found empty"),
    ("ring/deque.c", "weir_compare_exchange(&deque->top, &top, top + 1, release)",
     "(weir_load(&deque->top, relaxed) == top && (weir_store(&deque->top, top + 1, release), true))",
     "a steal's swap in two steps"),
    ("ring/deque.c", "weir_compare_exchange(&deque->top, &expected, top + 1, relaxed)",
     "(weir_load(&deque->top, relaxed) == expected && (weir_store(&deque->top, top + 1, release), true))",
     "a pop's swap in two steps"),
    ("ring/deque.c", "return top == bottom ? pop_last(deque, top, item) : item;", "return item;",
     "the last item popped without a swap"),
    ("sched/steal.c", "    strand->state = WEIR_STRAND_AWAY;\n", "    weir_strand_settle(sched, strand);\n    strand->state = WEIR_STRAND_AWAY;\n",
     "a strand lent and queued at once, not when its done has come"),
    ("sched/steal.c", "        weir_strand_settle(sched, strand);\n    }\n", "    }\n", "done comes and nobody queues the strand"),
    ("sched/pool_table.c", "    if (is_full(attempt, entry))\n        return", "    if (true)\n        return",
     "a pool not looked at once its entry is closed"),
    ("sched/pool_table.c", "if (entry == ours || !contested(attempt, ours, entry))", "if (true)", "nobody else's claim is looked for"),
    ("sched/pool_table.c", "word_of(key_of(word), CLOSED, attempt->reactor_index);", "word_of(key_of(word), CLOSED, 0);",
     "closed, and not by whom"),
    ("sched/pool_table.c", "if (weir_compare_exchange(&entry->word, &word, FREE, relaxed))\n            return false;", "return false;",
     "a claim passed over that should lose"),
]

ORDER = re.compile(r",\s*(acquire|release|acq_rel|seq_cst)(?=\))")
FENCE = re.compile(r"weir_(?:fence\(\w+\)|sleep_fence\(\));")
COMMENT = re.compile(r"/\*.*?\*/", re.S)


def line_of(text, at):
    start = text.rfind("\n", 0, at) + 1
    return text[start:text.find("\n", at)].split("/*")[0].strip().rstrip(";")


def mutants(source_dir):
    for name in MODELS:
        if name in STEPS_ONLY:
            continue
        text = open(os.path.join(source_dir, name)).read()
        code = COMMENT.sub(lambda m: " " * len(m.group()), text)
        for m in ORDER.finditer(code):
            made = text[:m.start(1)] + "relaxed" + text[m.end(1):]
            yield name, line_of(text, m.start(1)), m.group(1) + " -> relaxed", made
        for m in FENCE.finditer(code):
            yield name, line_of(text, m.start()), "fence removed", text[:m.start()] + ";" + text[m.end():]
    for name, old, new, what in STEPS:
        text = open(os.path.join(source_dir, name)).read()
        if text.count(old) != 1:
            sys.exit(f"mutate: {name} has {text.count(old)} times, not once: {old}")
        yield name, old.split("\n")[0].rstrip(";"), what, text.replace(old, new)


def run_model(args, source_dir, model, work):
    """None: it passed. Otherwise what it said."""
    program = os.path.join(work, model.replace("/", "."))
    subprocess.run([args.cc, "-std=gnu11", "-D_GNU_SOURCE", "-DWEIR_MODEL", "-O1", "-w", "-I", source_dir, "-I", source_dir + "/include",
                    f"{source_dir}/tests/{model}_model.c", f"{source_dir}/tests/model/explore.c",
                    "-o", program], check=True)
    try:
        run = subprocess.run([program], capture_output=True, text=True, timeout=args.timeout)
    except subprocess.TimeoutExpired:
        return f"{model}: did not end in {args.timeout} s"
    said = re.search(r"FAILED: (.*)", run.stdout)
    if run.returncode == 0:
        return None
    return f"{model}: {said.group(1) if said else 'exit %d' % run.returncode}"


def try_mutant(args, mutant):
    name, line, what, text = mutant
    with tempfile.TemporaryDirectory(prefix="mutate") as work:
        for room in ("ring", "base", "sched", "include", "tests/ring", "tests/sched", "tests/model"):
            shutil.copytree(os.path.join(args.source, room), os.path.join(work, "source", room))
        with open(os.path.join(work, "source", name), "w") as out:
            out.write(text)
        for model in MODELS[name]:
            said = run_model(args, os.path.join(work, "source"), model, work)
            if said is not None:
                return said
    return None


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", default=os.path.dirname(os.path.dirname(here)))
    parser.add_argument("--cc", default="cc")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--timeout", type=int, default=60, help="seconds for one run of a model")
    args = parser.parse_args()
    todo = list(mutants(args.source))
    argued = [m for m in todo if f"{m[0]}: {m[1]}" in ARGUED and "relaxed" in m[2]]
    todo = [m for m in todo if m not in argued]
    survivors = 0
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for mutant, said in zip(todo, pool.map(lambda m: try_mutant(args, m), todo)):
            survivors += said is None
            print(f"{'SURVIVED' if said is None else 'caught':8}  {mutant[0]:13}  {mutant[2]:34}  {mutant[1]}")
            print(f"{'':10}{said or ''}", flush=True)
    for name, line, what, _ in argued:
        print(f"argued    {name:13}  {what:34}  {line}\n          {ARGUED[name + ': ' + line]}")
    if len(argued) != len(ARGUED):
        sys.exit("mutate: an argued order is no longer in the source")
    print(f"{len(todo)} mutants, {len(todo) - survivors} caught, {len(argued)} argued")
    sys.exit(1 if survivors else 0)


main()
