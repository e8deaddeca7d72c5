"""Which C++ files can share one translation unit: imported by scripts/tidy, and called by cmake/Unite.cmake.

    python3 scripts/batches.py FILE...                  prints each batch as its files, separated by spaces, on a line
    python3 scripts/batches.py --tests DIRECTORY FILE...    writes a unit for each batch of tests to DIRECTORY, prints the sources to compile

Files of the product go together that lie in one folder, declare no name twice at file scope, and do not disturb each other with using-declarations.
A test goes with any other: its unit includes first what all of them include, then each of them in a namespace of its own.
"""

import os
import pathlib
import re
import sys

LARGEST = 10
OPENING = re.compile(r"^namespace \{$")
CLOSING = re.compile(r"^\}  // namespace$")
ALIAS = re.compile(r"using (\w+) =")
NAME = re.compile(r"[A-Za-z_]\w*")
INCLUDE = re.compile(r"^#include .*", re.MULTILINE)
MACRO = re.compile(r"^#define (\w+)", re.MULTILINE)
DIRECTIVE = re.compile(r"^using namespace .*;", re.MULTILINE)
USING = re.compile(r"^using (?!namespace)[^=\n]*;", re.MULTILINE)
LAST = re.compile(r"(\w+);$")
# What belongs to a certain namespace, or to none.
FIXED = re.compile(r"^(namespace \w|#define |.*\boperator (new|delete)\b)", re.MULTILINE)


def local_names(text):
    """The names that a file may declare for itself: macros, aliases, and what begins a line inside its unnamed namespace."""
    names = set(MACRO.findall(text))
    inside = False
    for line in text.splitlines():
        if OPENING.match(line):
            inside = True
        elif CLOSING.match(line):
            inside = False
        elif alias := ALIAS.match(line):
            names.add(alias[1])
        elif inside and line[:1].isalpha():
            # Whatever stands before the value, the parameters or the body; the last of these words is the name.
            words = NAME.findall(re.split(r"[({=;\[]", line)[0])
            names.update(words[-1:])
    return names


class Batch:
    """Files that share a unit, and what one more must not clash with."""

    def __init__(self):
        self.files = []
        self.names = set()
        self.declared = set()  # by using-declarations, each as a whole
        self.words = set()

    def takes(self, names, declared, words, largest):
        """False: the file would see another thing under one of its words, or make others see one."""
        ours = {LAST.search(one)[1] for one in self.declared - declared}
        theirs = {LAST.search(one)[1] for one in declared - self.declared}
        return len(self.files) < largest and not (names & self.names or ours & words or theirs & self.words)

    def add(self, file, names, declared, words):
        self.files.append(file)
        self.names |= names
        self.declared |= declared
        self.words |= words


def batches(files, kind=os.path.dirname, largest=LARGEST):
    """Lists of files of one kind."""
    open_ones = {}
    for file in files:
        text = pathlib.Path(file).read_text(encoding="utf-8")
        seen = local_names(text), set(USING.findall(text)), set(NAME.findall(text))
        candidates = open_ones.setdefault((kind(file), tuple(DIRECTIVE.findall(text))), [])
        batch = next((batch for batch in candidates if batch.takes(*seen, largest)), None)
        if batch is None:
            batch = Batch()
            candidates.append(batch)
        batch.add(file, *seen)
    return [batch.files for candidates in open_ones.values() for batch in candidates]


def unite_tests(directory, files):
    """Writes the units; returns their paths, and those of the files that stay alone."""
    texts = {file: pathlib.Path(file).resolve().read_text(encoding="utf-8") for file in files}
    together = [file for file in files if not FIXED.search(texts[file])]
    sources = [file for file in files if file not in together]
    directory.mkdir(parents=True, exist_ok=True)
    for first in range(0, len(together), LARGEST):
        batch = together[first : first + LARGEST]
        includes = dict.fromkeys(include for file in batch for include in INCLUDE.findall(texts[file]))
        lines = list(includes)
        for number, file in enumerate(batch, first):
            lines += [f"namespace file_{number} {{", f'#include "{pathlib.Path(file).resolve()}"', f"}}  // namespace file_{number}"]
        unit = directory / f"unit_{first // LARGEST}.cc"
        text = "\n".join(lines) + "\n"
        if not unit.exists() or unit.read_text(encoding="utf-8") != text:
            unit.write_text(text, encoding="utf-8")
        sources.append(str(unit))
    return sources


if __name__ == "__main__":
    if sys.argv[1] == "--tests":
        print(" ".join(unite_tests(pathlib.Path(sys.argv[2]), sys.argv[3:])))
    else:
        for batch in batches(sys.argv[1:]):
            print(" ".join(batch))
