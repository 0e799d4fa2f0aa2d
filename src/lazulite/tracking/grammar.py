"""The search grammar: `metrics.auc > 0.8 and tags.kind = 'lr'`, and `metrics.auc DESC`.

Our own parser of MLflow's language: importing MLflow's takes seconds and brings SQL and data-frame libraries with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from lazulite.tracking.errors import invalid

Value = str | float | tuple[str, ...] | None

NUMERIC = frozenset({">", ">=", "!=", "=", "<", "<="})
STRING = frozenset({"=", "!=", "LIKE", "ILIKE"})
_ORDERING = frozenset({">", ">=", "<", "<="})
TEXT = STRING | {"IS NULL", "IS NOT NULL"}
LISTED = STRING | {"IN", "NOT IN"}


#: What one search may ask for: work multiplies with it. MLflow's own clients and pages stay far below.
MOST_TERMS, MOST_ORDERS = 100, 20
MOST_CHARACTERS, MOST_CHARACTERS_OF_ORDER = 100_000, 1000

_KINDS: dict[str, str] = {
    **dict.fromkeys(("metric", "metrics"), "metric"),
    **dict.fromkeys(("parameter", "parameters", "param", "params"), "parameter"),
    **dict.fromkeys(("tag", "tags"), "tag"),
    **dict.fromkeys(("attribute", "attributes", "attr", "run"), "attribute"),
    **dict.fromkeys(("dataset", "datasets"), "dataset"),
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """`kind` is metric, parameter, tag, attribute, dataset or of traces; `value` a tuple for IN, None for IS NULL."""

    kind: str
    key: str
    operator: str
    value: Value


@dataclass(frozen=True, slots=True)
class Order:
    kind: str
    key: str
    ascending: bool


@dataclass(frozen=True, slots=True)
class Grammar:
    """What may be searched of one entity: its attributes, and which other kinds it has."""

    strings: frozenset[str]
    numbers: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset({"tag"})
    aliases: dict[str, str] = field(default_factory=dict)
    orderable: frozenset[str] | None = None  # None: every attribute
    ordered_kinds: bool = False  # whether metrics, parameters and tags may be ordered by
    entities: dict[str, str] = field(default_factory=lambda: _KINDS)  # what kinds are called in the text
    operators: dict[str, frozenset[str]] = field(default_factory=dict)  # by kind, where they differ

    def parse(self, text: str | None) -> list[Comparison]:
        """The comparisons that `and` joins. Raises ApiError INVALID_PARAMETER_VALUE."""
        _check_most("filter", len(text or ""), MOST_CHARACTERS, "characters")
        tokens = _Tokens(text or "")
        found: list[Comparison] = []
        while not tokens.at_end():
            if found and not tokens.take_word("AND"):
                raise invalid(f"Invalid clause(s) in filter string: '{tokens.rest()}'. Clauses are joined by AND.")
            found.append(self._comparison(tokens))
            _check_most("filter", len(found), MOST_TERMS, "comparisons")
        return found

    def parse_order(self, clauses: Sequence[str]) -> list[Order]:
        """`key [ASC|DESC]` each. Raises ApiError INVALID_PARAMETER_VALUE."""
        _check_most("order_by", len(clauses), MOST_ORDERS, "keys")
        for clause in clauses:
            _check_most("order_by", len(clause), MOST_CHARACTERS_OF_ORDER, "characters a key")
        return [self._order(clause) for clause in clauses]

    def _comparison(self, tokens: _Tokens) -> Comparison:
        kind, key = self._identifier(tokens.identifier())
        operator = tokens.operator()
        self._check_operator(kind, key, operator)
        if operator in ("IS NULL", "IS NOT NULL"):
            return Comparison(kind, key, operator, None)
        if operator in ("IN", "NOT IN"):
            return Comparison(kind, key, operator, tokens.list_of_strings())
        if kind == "metric" or (kind == "attribute" and key in self.numbers):
            return Comparison(kind, key, operator, tokens.number(kind, key))
        if operator in _ORDERING:
            return Comparison(kind, key, operator, tokens.number(kind, key))
        return Comparison(kind, key, operator, tokens.string(kind))

    def _order(self, clause: str) -> Order:
        text, ascending = clause.strip(), True
        if match := re.fullmatch(r"(.*?)\s+(asc|desc)", text, re.IGNORECASE | re.DOTALL):
            text, ascending = match[1], match[2].lower() == "asc"
        if not text or not _IDENTIFIER.fullmatch(text):
            raise invalid(f"Invalid order_by clause '{clause}'. Could not be parsed.")
        kind, key = self._identifier(text, ordering=True)
        return Order(kind, key, ascending)

    def _identifier(self, text: str, *, ordering: bool = False) -> tuple[str, str]:
        match = _IDENTIFIER.fullmatch(text)
        assert match is not None  # the callers matched it
        entity, quoted = match["entity"].strip("`"), match["key"]
        if quoted is None:
            kind, key = "attribute", _unquoted(match["entity"])
        else:
            key = _unquoted(quoted)
            kind = self.entities.get(entity, "")
        known = self.kinds | {"attribute"}
        if kind not in known:
            raise invalid(f"Invalid entity type '{entity}'. Valid values are {sorted(known)}")
        if kind == "attribute":
            key = self.aliases.get(key, key)
            valid = self.strings | self.numbers
            if ordering and self.orderable is not None:
                valid = self.orderable
            if key not in valid:
                raise invalid(f"Invalid attribute key '{key}' specified. Valid keys are '{sorted(valid)}'")
        elif ordering and (not self.ordered_kinds or kind == "dataset"):
            raise invalid(f"Invalid order_by entity '{entity}'.")
        elif kind == "dataset" and key not in ("name", "digest", "context"):
            raise invalid(f"Invalid dataset key '{key}' specified. Valid keys are 'name', 'digest' and 'context'")
        return kind, key

    def _check_operator(self, kind: str, key: str, operator: str) -> None:
        if kind == "metric" or (kind == "attribute" and key in self.numbers):
            valid = NUMERIC
        elif kind in self.operators:
            valid = self.operators[kind]
        elif kind in ("parameter", "tag"):
            valid = TEXT
        else:
            valid = LISTED
        if operator not in valid:
            raise invalid(f"Invalid comparator '{operator}' not one of '{sorted(valid)}'")


class _Tokens:
    """A reader of a filter string."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._skip()

    def at_end(self) -> bool:
        return self._at >= len(self._text)

    def rest(self) -> str:
        return self._text[self._at : self._at + 100]

    def take_word(self, word: str) -> bool:
        match = re.compile(rf"{word}\b", re.IGNORECASE).match(self._text, self._at)
        return self._take(match) is not None

    def identifier(self) -> str:
        found = self._take(_IDENTIFIER.match(self._text, self._at))
        if found is None:
            raise invalid(f"Invalid clause(s) in filter string: '{self.rest()}'. Expected a key such as metrics.auc.")
        return found

    def operator(self) -> str:
        found = self._take(_OPERATOR.match(self._text, self._at))
        if found is None:
            raise invalid(f"Invalid clause(s) in filter string: '{self.rest()}'. Expected a comparator.")
        return " ".join(found.upper().split())

    def number(self, kind: str, key: str) -> float:
        found = self._take(_NUMBER.match(self._text, self._at))
        if found is None:
            what = "metric" if kind == "metric" else f"numeric attribute: {key}"
            raise invalid(f"Expected numeric value type for {what}. Found {self.rest()}")
        return int(found) if re.fullmatch(r"-?\d+", found) else float(found)

    def string(self, kind: str) -> str:
        found = self._take(_STRING.match(self._text, self._at))
        if found is None:
            raise invalid(f"Expected a quoted string value for {kind} (e.g. 'my-value'). Got value {self.rest()}")
        return _unquoted(found)

    def list_of_strings(self) -> tuple[str, ...]:
        match = _LIST.match(self._text, self._at)
        if match is None:
            raise invalid(f"Expected a list of quoted strings in parentheses. Got value {self.rest()}")
        self._take(match)
        return tuple(_unquoted(found[0]) for found in _strings_in(match[0]))

    def _take(self, match: re.Match[str] | None) -> str | None:
        if match is None:
            return None
        self._at = match.end()
        self._skip()
        return match[0]

    def _skip(self) -> None:
        while self._at < len(self._text) and self._text[self._at].isspace():
            self._at += 1


def _check_most(parameter: str, count: int, most: int, of: str) -> None:
    if count > most:
        raise invalid(f"Parameter '{parameter}' takes at most {most} {of}. Ask for less at a time.")


def _strings_in(text: str) -> Iterator[re.Match[str]]:
    return _STRING.finditer(text)


def _unquoted(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"`":
        inner = text[1:-1]
        return inner.replace("''", "'") if text[0] == "'" else inner
    return text


_QUOTED = r"`[^`]*`|\"[^\"]*\""
_IDENTIFIER = re.compile(
    rf"(?P<entity>`[^`]*`|\"[^\"]*\"|[A-Za-z_]\w*(?: [Nn]ame)?)(?:\.(?P<key>{_QUOTED}|'[^']*'|\w[\w.\-/:]*))?"
)
_OPERATOR = re.compile(r">=|<=|!=|=|<|>|(?:NOT\s+)?[IR]?LIKE\b|(?:NOT\s+)?IN\b|IS\s+(?:NOT\s+)?NULL\b", re.IGNORECASE)
_NUMBER = re.compile(r"-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.])")
_STRING = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"")
_LIST = re.compile(r"\(\s*(?:'(?:[^']|'')*'|\"[^\"]*\")(?:\s*,\s*(?:'(?:[^']|'')*'|\"[^\"]*\"))*\s*,?\s*\)")
