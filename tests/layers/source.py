"""Reads a source file the way the rules of layers_test.py need it.

A Source keeps the text as it is and, of the same length and with the same line breaks, its `code`: comments and the
contents of strings are blanked, so that a word found there really is code.
"""

import ast
import io
import re
import tokenize
from dataclasses import dataclass
from pathlib import Path

KINDS = {".cc": "c++", ".h": "c++", ".py": "python", ".sh": "shell", ".cmake": "cmake"}

_CPP_TOKEN = re.compile(
    r"""//(?:[^\n]|(?<=\\)\n)*                     # comment to the end of the line
      | /\*.*?\*/                                  # comment
      | R"(?P<mark>[^()\s\\]{0,16})\(.*?\)(?P=mark)"   # raw string
      | "(?:\\.|[^"\\\n])*"                        # string
      | (?<!\w)\d(?:'?[\w.])*                      # number: its ' separates digits
      | '(?:\\.|[^'\\\n])*'                        # character""",
    re.DOTALL | re.VERBOSE,
)
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"\n]+)[>"]', re.MULTILINE)
_DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]|(?<=\\)\n)*", re.MULTILINE)


@dataclass(frozen=True)
class Function:
    name: str
    line: int
    length: int  # lines, from its name to its closing brace


@dataclass(frozen=True)
class Include:
    name: str
    line: int
    angled: bool


class Source:
    def __init__(self, path, text, kind):
        self.path = path  # relative to the root, with slashes
        self.text = text
        self.kind = kind
        self.lines = text.count("\n") + (0 if text.endswith("\n") or not text else 1)
        self.code = {"c++": _blank_cpp, "python": _blank_python}.get(kind, str)(text)

    def line_at(self, offset):
        return self.text.count("\n", 0, offset) + 1

    def includes(self):
        return [
            Include(match[2], self.line_at(match.start()), match[1] == "<")
            for match in _INCLUDE.finditer(self.text)
            if "#" in self.code[match.start() : match.end()]  # else it stands in a comment or a string
        ]

    def functions(self):
        """Every function with its length. ValueError when braces do not pair up, so that none goes unmeasured."""
        return list(_cpp_functions(self) if self.kind == "c++" else _python_functions(self))


def kind_of(path):
    """What a file is, by its name or its first line; None for files that hold no code."""
    if path.name == "CMakeLists.txt":
        return "cmake"
    if path.suffix:
        return KINDS.get(path.suffix)
    with path.open("rb") as file:
        first = file.readline(80)
    if not first.startswith(b"#!"):
        return None
    return "python" if b"python" in first else "shell"


def read_tree(root):
    """All sources below `root`, except in hidden folders (but .ci is ours) and in build/."""
    for path in sorted(Path(root).rglob("*")):
        parts = path.relative_to(root).parts
        if parts[0] == "build" or any(part.startswith(".") and part != ".ci" or part == "__pycache__" for part in parts):
            continue
        if path.is_file() and (kind := kind_of(path)):
            yield Source("/".join(parts), path.read_text(encoding="utf-8"), kind)


def _spaces(text):
    return re.sub(r"[^\n]", " ", text)


def _blank_cpp(text):
    def blank(match):
        token = match[0]
        if token.startswith("/"):
            return _spaces(token)
        if token[0] in "\"'":
            return token[0] + _spaces(token[1:-1]) + token[-1]
        if token.startswith('R"'):
            return 'R"' + _spaces(token[2:-1]) + '"'
        return token

    return _CPP_TOKEN.sub(blank, text)


def _blank_python(text):
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    out = text
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.STRING, tokenize.COMMENT) or "FSTRING_MIDDLE" in tokenize.tok_name[token.type]:
            begin = starts[token.start[0] - 1] + token.start[1]
            end = starts[token.end[0] - 1] + token.end[1]
            out = out[:begin] + _spaces(out[begin:end]) + out[end:]
    return out


def _python_functions(source):
    for node in ast.walk(ast.parse(source.text)):
        if isinstance(node, ast.FunctionDef):
            yield Function(node.name, node.lineno, node.end_lineno - node.lineno + 1)


_BODY_TAIL = re.compile(
    r"""(?: \) | [=(,\s]\s*\[[^][]*\] )                                       # parameters, or a lambda without
        (?: \s*(?:const|volatile|noexcept(?:\s*\([^()]*\))?|override|final|mutable|try|&&?) )*
        (?: \s*->\s*[\w:<>,&*\s]+ )? (?: \s*requires\b.* )? $""",
    re.VERBOSE | re.DOTALL,
)
_MEMBER_INIT = re.compile(r"\)\s*(?:noexcept\s*)?:(?!:)")
_NAME = re.compile(r"((?:[\w:~<>]*\boperator\s*(?:\(\)|[^\s\w(]+|[\w:]+))|[\w:~]+)\s*\(")


def _opens(head):
    """What the brace after `head` opens, at namespace or class level: "scope", "function" or "value"."""
    if _MEMBER_INIT.search(head):
        return "function" if head[-1] in ")}" else "value"
    if re.search(r"\bnamespace\b[^()]*$|\bTEST_SUITE(_BEGIN)?\s*\([^()]*\)$", head) or re.search(r'\bextern\s*"[^"]*"$', head):
        return "scope"
    if _BODY_TAIL.search(head):
        return "function"
    if re.search(r"\b(class|struct|union)\b", head) and not re.search(r"\benum\b|=$", head):
        return "scope"
    return "value"


def _function_name(source, head_start, head_end):
    head = source.code[head_start:head_end]
    match = _NAME.search(head) or re.search(r"(\w+)\s*=", head) or re.search(r"\S+", head)
    name = match[1] if match.re.groups else match[0]
    begin = head_start + match.start()
    if name.startswith(("TEST_CASE", "SCENARIO")):
        name = source.text[begin:head_end].strip()
    return name, begin


def _cpp_functions(source):
    code = _DIRECTIVE.sub(lambda match: _spaces(match[0]), source.code)
    stack = ["scope"]  # what is open: "scope", "function", "value", or "inner" for all that lies deeper
    begins = []  # (name, offset) of the functions that are open
    head = 0  # where the declaration at hand began
    for match in re.finditer(r"[{}();]", code):
        at, mark = match.start(), match[0]
        if mark == "(":
            stack.append("(")
        elif mark == "{":
            opened = _opens(code[head:at].strip() or ";") if stack[-1] == "scope" else "inner"
            stack.append(opened)
            if opened == "function":
                begins.append(_function_name(source, head, at))
            if opened == "scope":
                head = at + 1
        elif mark == ";":
            if stack[-1] == "scope":
                head = at + 1
        else:
            closed = stack.pop()
            if not stack or (closed == "(") != (mark == ")"):
                raise ValueError(f"'{mark}' in line {source.line_at(at)} closes nothing")
            if closed == "function":
                name, begin = begins.pop()
                yield Function(name, source.line_at(begin), code.count("\n", begin, at) + 1)
            if closed in ("function", "scope"):
                head = at + 1
    if stack != ["scope"]:
        raise ValueError("a brace or parenthesis is never closed")
