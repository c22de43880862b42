"""A small lexer for the style scripts: C text with comments and literals blanked, and where functions begin and end."""
import re

KEYWORDS = {"if", "for", "while", "switch", "do", "else", "return", "sizeof", "case", "_Static_assert", "static_assert"}
NEST = re.compile(r"(\belse|\bdo|\))\s*$")


def blank(text):
    """The text with the inside of comments, strings and characters replaced by spaces; line breaks stay."""
    pattern = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)

    def spaces(match):
        found = match.group(0)
        if found[0] in "\"'":
            return found[0] + re.sub(r"[^\n]", " ", found[1:-1]) + found[0]
        return re.sub(r"[^\n]", " ", found)

    return pattern.sub(spaces, text)


def without_directives(code):
    """Preprocessor lines, with their continuations, replaced by empty lines."""
    return re.sub(r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", lambda m: "\n" * m.group(0).count("\n"), code, flags=re.M)


class Function:
    def __init__(self, name, first_line, last_line, parameters, nesting, nesting_line):
        self.name, self.first_line, self.last_line = name, first_line, last_line
        self.parameters, self.nesting, self.nesting_line = parameters, nesting, nesting_line


def count_parameters(text):
    """Parameters of a definition; `...` is none."""
    text = re.sub(r",\s*\.\.\.\s*$", "", text)
    depth, count = 0, 1
    for char in text:
        depth += char in "([{"
        depth -= char in ")]}"
        count += char == "," and depth == 0
    return 0 if text.strip() in ("", "void") else count


def functions(text):
    """Every function definition of a file. `text` is the file; nesting counts blocks of statements below the body."""
    code = without_directives(blank(text))
    position, line = 0, 1
    head_start, found = 0, []
    while position < len(code):
        char = code[position]
        if char == ";" or char == "}":
            head_start = position + 1
        elif char == "{":
            head = code[head_start:position]
            match = re.search(r"(\w+)\s*\(", head)
            is_function = match and head.rstrip().endswith(")") and "=" not in head.split("(")[0]
            end, deepest, deepest_at = body_end(code, position)
            if is_function:
                name = match.group(1)
                while name in ("__attribute__",) or name.startswith("ATTR_"):
                    match = re.compile(r"(\w+)\s*\(").search(head, match.end())
                    if not match:
                        break
                    name = match.group(1)
                opening = head.index("(", match.start(1)) if match else 0
                first = code.count("\n", 0, head_start + len(head) - len(head.lstrip())) + 1
                found.append(Function(name, first, code.count("\n", 0, end) + 1,
                                      count_parameters(matching(head, opening)), deepest,
                                      code.count("\n", 0, deepest_at) + 1))
            position = end
            head_start = end + 1
        position += 1
    return found


def matching(text, opening):
    """What stands between the parenthesis at `opening` and its partner."""
    depth = 0
    for i in range(opening, len(text)):
        depth += text[i] == "("
        depth -= text[i] == ")"
        if depth == 0:
            return text[opening + 1:i]
    return text[opening + 1:]


def body_end(code, opening):
    """(position of the closing brace, deepest nesting of statement blocks, where that is)."""
    stack, depth, deepest, deepest_at = [], 0, 0, opening
    for i in range(opening, len(code)):
        if code[i] == "{":
            nests = bool(stack) and bool(NEST.search(code[max(0, i - 200):i])) and not is_literal(code, i)
            stack.append(nests)
            depth += nests
            if depth > deepest:
                deepest, deepest_at = depth, i
        elif code[i] == "}":
            depth -= stack.pop()
            if not stack:
                return i, deepest, deepest_at
    return len(code) - 1, deepest, deepest_at


def is_literal(code, brace):
    """True for the brace of a compound literal, `(struct str){`: its parenthesis holds a type and follows no keyword."""
    i = brace - 1
    while i >= 0 and code[i].isspace():
        i -= 1
    if i < 0 or code[i] != ")":
        return False
    depth = 0
    while i >= 0:
        depth += code[i] == ")"
        depth -= code[i] == "("
        if depth == 0:
            break
        i -= 1
    before = re.search(r"(\w+)\s*$", code[max(0, i - 60):i])
    return before is None or before.group(1) in ("return", "sizeof")
