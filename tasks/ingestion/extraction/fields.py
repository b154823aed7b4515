"""Fields of Word documents (ECMA-376, part 1, 17.16): instructions and their results."""

from dataclasses import dataclass, field
from typing import Any

from corpusmill.tasks.ingestion.extraction.markup import attribute, local_name

_NUMBERS = ("PAGE", "NUMPAGES", "SECTIONPAGES")


@dataclass
class _Field:
    """A field whose end has not been reached yet.

    Attributes:
        instruction: its text, as far as it was read.
        within: text elements inside the instruction, which may hold nested fields.
        result: text elements of the result; None before that begins.
    """

    instruction: str = ""
    within: list[Any] = field(default_factory=list)
    result: list[Any] | None = None

    def take(self, elements: list[Any]) -> None:
        (self.within if self.result is None else self.result).extend(elements)

    def clear(self) -> None:
        """Empties the elements that are not text of the document: instructions and page numbers."""
        if self.result is None:
            return
        for element in self.within:
            element.text = ""
        if _is_number(self.instruction):
            for element in self.result:
                element.text = ""


def clear_fields(root: Any) -> None:
    """Removes the results of page number fields, and texts within instructions.

    A field without an end stays as it is, for it is unknown where its result stops.
    """
    for element in list(root.iter("{*}fldSimple")):
        if _is_number(attribute(element, "instr")):
            tail = element.tail
            element.clear()
            element.tail = tail
    fields = list[_Field]()
    for element in root.iter("{*}fldChar", "{*}instrText", "{*}t"):
        kind = attribute(element, "fldCharType")
        if kind == "begin":
            fields.append(_Field())
        elif not fields:
            continue
        elif kind == "separate":
            fields[-1].result = []
        elif kind == "end":
            ended = fields.pop()
            ended.clear()
            if fields:
                fields[-1].take([*ended.within, *(ended.result or ())])
        elif local_name(element) == "t":
            fields[-1].take([element])
        elif fields[-1].result is None:
            fields[-1].instruction += element.text or ""


def _is_number(instruction: str) -> bool:
    words = instruction.split()
    return bool(words) and words[0].upper() in _NUMBERS
