"""One mistake, and the exact words in which the API server refuses it."""

from dataclasses import dataclass

from support.objects import Json

# The API server adds this line when a problem of form kept it from checking the rules.
UNCHECKED = (
    "<nil>: Invalid value: null: some validation rules were not checked because the object was"
    " invalid; correct the existing errors to complete validation"
)


@dataclass(frozen=True, slots=True)
class BadInput:
    """One mistake.

    Attributes:
        title: What was wrong, as the reference calls it.
        by: What refuses it: `strict validation`, `schema` or `CEL`.
        document: The object that holds the mistake.
        problems: What the API server says, one entry per problem.
        before: The object as it was, when the mistake is a change of it.
        complete: All rules were checked in spite of the problems.
    """

    title: str
    by: str
    document: Json
    problems: tuple[str, ...]
    before: Json | None = None
    complete: bool = True

    @property
    def verb(self) -> str:
        """The kubectl verb that is refused."""
        return "create" if self.before is None else "apply"

    @property
    def stderr(self) -> str:
        """What kubectl prints, word for word."""
        kind, name = self.document["kind"], self.document["metadata"]["name"]
        if self.by == "strict validation":
            doing = "creating" if self.before is None else "applying"
            return (
                f'Error from server (BadRequest): error when {doing} "STDIN": {kind} in version'
                f' "v1alpha1" cannot be handled as a {kind}: strict decoding error:'
                f" {self.problems[0]}"
            )
        lines = self.problems if self.complete else (*self.problems, UNCHECKED)
        if len(lines) == 1:
            return f'The {kind} "{name}" is invalid: {lines[0]}'
        return "\n".join((f'The {kind} "{name}" is invalid: ', *(f"* {line}" for line in lines)))
