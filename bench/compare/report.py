"""compare/report.py - medians, ratios and verdicts; build/versus.tsv; the table; the progress bar."""
import statistics
import sys
import time


class Row:
    """One figure of weir beside the same of a rival, over all rounds. ratio: better when higher, whatever the unit.

    Met is to within half a per cent. In noise: the median misses the goal, the best quarter of the rounds reaches it.
    """

    def __init__(self, name, unit, weir, rival, rival_name, goal, higher):
        self.name, self.unit, self.rival_name, self.goal = name, unit, rival_name, goal
        self.weir, self.rival = statistics.median(weir), statistics.median(rival)
        ratios = [ratio(w, r, higher) for w, r in zip(weir, rival)]
        self.ratio, self.min, self.max = ratio(self.weir, self.rival, higher), min(ratios), max(ratios)
        self.upper = sorted(ratios)[(3 * len(ratios)) // 4] if len(ratios) > 2 else self.ratio

    def verdict(self):
        if self.goal is None:
            return ""
        return "met" if self.ratio >= self.goal * 0.995 else "in noise" if self.upper >= self.goal else "MISSED"

    def fields(self):
        goal = "" if self.goal is None else f"{self.goal:g}"
        return [self.name, self.unit, f"{self.weir:.6g}", f"{self.rival:.6g}", self.rival_name, f"{self.ratio:.3f}",
                f"{self.min:.3f}", f"{self.max:.3f}", goal]


def ratio(weir, rival, higher):
    better, worse = (weir, rival) if higher else (rival, weir)
    return better / worse if worse > 0 else float("inf") if better > 0 else 1.0


def human(value):
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            return f"{value / limit * (10 if letter == 'k' else 1):.3g}{letter}"
    return f"{value:.3g}"


def write_tsv(path, rows):
    with open(path, "w") as file:
        file.write("\t".join(["name", "unit", "weir", "rival", "rival_name", "ratio", "min", "max", "goal"]) + "\n")
        for row in rows:
            file.write("\t".join(row.fields()) + "\n")


def print_table(rows, facts):
    for fact, text in facts:
        print(f"{fact:10} {text}")
    print(f"\n{'':34} {'weir':>8} {'rival':>8} unit  {'':22} {'ratio':>6}  {'min .. max':>14}  {'goal':>5}")
    last = None
    for row in rows:
        name = row.name if row.name != last else ""
        last = row.name
        goal = "" if row.goal is None else f"{row.goal:g}"
        print(f"{name:34} {human(row.weir):>8} {human(row.rival):>8} {row.unit:5} {row.rival_name:22} {row.ratio:6.2f}  "
              f"{row.min:6.2f} ..{row.max:6.2f}  {goal:>5} {row.verdict()}")
    judged = [row for row in rows if row.goal is not None]
    missed = [row for row in judged if row.verdict() == "MISSED"]
    noise = [row for row in judged if row.verdict() == "in noise"]
    print(f"\n{len(judged)} goals: {len(judged) - len(missed) - len(noise)} met, {len(noise)} in noise, {len(missed)} missed")


class Progress:
    """A bar on a terminal; elsewhere a line for each contest."""

    def __init__(self, steps):
        self.steps, self.done, self.from_s, self.tty = steps, 0, time.monotonic(), sys.stderr.isatty()

    def step(self, text):
        self.done += 1
        if not self.tty:
            return
        share, spent = self.done / self.steps, time.monotonic() - self.from_s
        left = int(spent / share - spent)
        bar = "#" * int(share * 30)
        sys.stderr.write(f"\r[{bar:30}] {share:4.0%} {left // 60}m{left % 60:02}s left  {text[:40]:40}")
        sys.stderr.flush()

    def skip(self, steps):
        self.done += steps

    def say(self, text):
        sys.stderr.write(("\r\033[K" if self.tty else "") + text + "\n")

    def end(self):
        if self.tty:
            sys.stderr.write("\r\033[K")
