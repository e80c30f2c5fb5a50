"""The promises of one property, a column or anything within one, as rules. Pure.

A nested property makes the same promises as a column. Its values stand at a path within the column, "items[].sku", and its presence is
that of a field in the objects around it. A computed property (a measure or dimension without a column) is listed, nothing of it judged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from dagster_contracts.core import extension
from dagster_contracts.core.contract import Clause, Operator, Property, QualityRule, Relationship, SchemaObject, Severity, Unrelated
from dagster_contracts.core.draft import Draft, severity_of
from dagster_contracts.core.metrics import (
    EACH,
    KEYS,
    VALUES,
    Absent,
    Duplicates,
    Nested,
    NotIn,
    Nulls,
    Orphans,
    Query,
    RowCount,
    TypeBreaches,
    ValueMetric,
)
from dagster_contracts.core.options import PACKED, NotMeasurable, option_metrics, type_text, vector_items
from dagster_contracts.core.plan import Cadence, Check, Closed, Due, Expected, Gone, InForce, Present, Stored, Within
from dagster_contracts.core.quality import CLAUSES, checks_of
from dagster_contracts.core.queries import quoted

_MANY = (EACH, KEYS, VALUES)


@dataclass(frozen=True, slots=True)
class Place:
    """Where values stand: a column, or a path within one. `words` is the path in words: "items[].sku"."""

    column: str
    path: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        return self.column + "".join(step if step in _MANY else f".{step}" for step in self.path)

    def step(self, name: str) -> Place:
        return Place(self.column, (*self.path, name))

    def check(self, check: Check) -> Check:
        """The same check of the values that stand here. Raises NotMeasurable where it has no meaning within a column."""
        if not self.path or (isinstance(check, Within) and isinstance(check.metric, Query)):
            return check
        if not isinstance(check, Within) or not isinstance(check.metric, ValueMetric):
            counts_rows = isinstance(check, Within) and isinstance(check.metric, RowCount)
            raise NotMeasurable("rows are of the whole object" if counts_rows else "is judged of columns, not of what is within one")
        if isinstance(check.metric, Duplicates) and check.metric.columns != (self.words,):
            raise NotMeasurable("columns that are unique together belong to the object, not to what is within a column")
        nested = Nested(self.column, self.path, check.metric)
        if check.threshold.percent and nested.of_many:
            raise NotMeasurable("a percentage of rows says nothing of values of which a row has several; use unit rows")
        return Within(nested, check.threshold)


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes the promises of one property, named after its place."""

    draft: Draft
    place: Place

    def rule(self, name: str, clause: Clause, severity: Severity, check: Check, description: str | None = None) -> None:
        self.named(f"{self.place.words}.{name}", clause, severity, check, description)

    def named(self, rule_id: str, clause: Clause, severity: Severity, check: Check, description: str | None = None) -> None:
        try:
            self.draft.rule(rule_id, clause, severity, self.place.check(check), self._columns(check), description)
        except NotMeasurable as why:
            self.draft.skip(rule_id, str(why), why.severity or severity, clause)

    def _columns(self, check: Check) -> str | None:
        """What the rule is about: the path of what is nested, else the columns it looks at; None for the rows as a whole."""
        if self.place.path or isinstance(check, Present | Gone | Stored | Expected):
            return self.place.words or None
        columns = () if isinstance(check, Closed | Cadence | Due | InForce) else check.metric.columns
        return ", ".join(columns) or (self.place.words if isinstance(check, Within) and isinstance(check.metric, Query) else "") or None

    def skip(self, name: str, reason: str, severity: Severity, clause: Clause) -> None:
        self.draft.skip(f"{self.place.words}.{name}", reason, severity, clause)


def column_promises(draft: Draft, prop: Property, obj: SchemaObject) -> None:
    """Everything that a column promises, and what is within it."""
    name = prop.name
    if prop.computed:
        _computed(draft, prop, obj)
        return
    if prop.deprecated:
        draft.rule(f"{name}.deprecated", Clause.SCHEMA, Severity.WARNING, Gone(name, prop.deprecated_until, prop.replaced_by), name)
    else:
        draft.rule(f"{name}.present", Clause.SCHEMA, Severity.CRITICAL, Present(name), name)
    _promises(draft, prop, Place(name), obj)


def _computed(draft: Draft, prop: Property, obj: SchemaObject) -> None:
    """No column is promised, so that its absence warns of nothing; a rule that somebody wrote about it is one that is not executed."""
    inner = Draft()
    _promises(inner, prop, Place(prop.name), obj)
    reason = "a measure or dimension without a physicalName is computed from the data, and no column of it"
    draft.skip(f"{prop.name}.present", reason, Severity.INFO, Clause.SCHEMA)
    for rule in inner.rules:
        draft.skip(rule.id, reason, Severity.INFO if rule.clause is Clause.SCHEMA else rule.severity, rule.clause)
    for missed in inner.not_executed:
        draft.add(missed)


def _promises(draft: Draft, prop: Property, place: Place, obj: SchemaObject) -> None:
    prop = replace(prop, name=place.words) if place.path else prop  # metrics call what is nested by its path in words
    to = _Writer(draft, place)
    _type(to, prop)
    _values(to, prop)
    for option, metric in option_metrics(prop):
        if isinstance(metric, NotMeasurable):
            to.skip(option, str(metric), metric.severity or Severity.ERROR, Clause.VALIDITY)
        else:
            to.rule(option, Clause.VALIDITY, Severity.ERROR, Within(metric))
    _stored(to, prop)
    relationship_promises(draft, prop.relationships, f"{place.words}.")
    for quality in prop.quality:
        quality_promises(draft, quality, obj, place, numeric=prop.numeric)
    for inner, at in _within(prop, place):
        _nested(draft, inner, place, at, obj)


def _type(to: _Writer, prop: Property) -> None:
    if prop.logical_type is None:
        return
    if prop.logical_type == "vector" and prop.options.get("elementType") == "binary":
        to.skip("type", PACKED, Severity.CRITICAL, Clause.SCHEMA)
    else:
        logical_type = "array" if prop.logical_type == "vector" else prop.logical_type
        to.rule("type", Clause.SCHEMA, Severity.CRITICAL, Within(TypeBreaches(prop.name, logical_type, type_text(prop))))


def _values(to: _Writer, prop: Property) -> None:
    if prop.required or prop.primary_key:
        to.rule("required", Clause.COMPLETENESS, Severity.ERROR, Within(Nulls(prop.name)))
    if prop.unique:
        to.rule("unique", Clause.UNIQUENESS, Severity.ERROR, Within(Duplicates((prop.name,), (prop.name,) if prop.numeric else ())))
    if prop.primary_key and to.place.path:
        to.skip("primaryKey", "a primary key is of columns, not of what is within one", Severity.ERROR, Clause.UNIQUENESS)
    if prop.enum:
        to.rule("enum", Clause.SEMANTICS, Severity.CRITICAL, Within(NotIn(prop.name, prop.enum)))


def _stored(to: _Writer, prop: Property) -> None:
    if prop.physical_type and to.place.path:
        to.skip("physicalType", "the source gives the type of the whole column", Severity.INFO, Clause.SCHEMA)
    elif prop.physical_type:
        to.rule("physicalType", Clause.SCHEMA, Severity.ERROR, Stored(prop.name, prop.physical_type))


def _within(prop: Property, place: Place) -> Iterator[tuple[Property, Place]]:
    yield from ((field, place.step(field.name)) for field in prop.properties)
    parts = ((prop.items or vector_items(prop), EACH), (prop.keys, KEYS), (prop.values, VALUES))
    yield from ((part, place.step(step)) for part, step in parts if part is not None)


def _nested(draft: Draft, prop: Property, around: Place, place: Place, obj: SchemaObject) -> None:
    if place.path[-1] not in _MANY and not prop.deprecated:
        absent = Within(Absent(around.words, prop.name))
        draft.rule(f"{place.words}.present", Clause.SCHEMA, Severity.CRITICAL, around.check(absent), place.words)
    if prop.deprecated:
        draft.skip(f"{place.words}.deprecated", "whether what is within a column has gone is not watched", Severity.INFO, Clause.SCHEMA)
    _promises(draft, prop, place, obj)


# --- relationships and quality, of properties and of objects -------------------------------------------------------


def relationship_promises(draft: Draft, relationships: tuple[Relationship | Unrelated, ...], prefix: str) -> None:
    """Foreign keys. `prefix` is the property's name and a dot, or empty for those of an object."""
    for related in relationships:
        if isinstance(related, Unrelated):
            draft.skip(f"{prefix}relationship", f"relationship to {related.to}: {related.reason}", clause=Clause.VALIDITY)
        else:
            check = Within(Orphans(related.columns, related.object, related.targets, related.numbers))
            draft.rule(f"{prefix}relationship", Clause.VALIDITY, Severity.ERROR, check, ", ".join(related.columns))


def quality_promises(draft: Draft, quality: QualityRule, obj: SchemaObject, place: Place | None, *, numeric: bool = False) -> None:
    """One entry of a `quality` list. `place` is None where it speaks of the whole object; `numeric`: what stands there are numbers."""
    name = quality.name or (f"{place.words}." if place else "") + (quality.metric or extension.name_of(quality))
    severity, note = severity_of(quality.severity, Severity.INFO if quality.type == "text" else Severity.ERROR)
    clause = CLAUSES.get(quality.metric or "", Clause.CUSTOM) if quality.type == "library" else extension.clause_of(quality)
    told = (quality.description, f"dimension {quality.dimension}" if quality.dimension else None, note)
    description = "; ".join(part for part in told if part) or None
    to = _Writer(draft, place or Place(""))
    for check in checks_of(quality, obj, place.words if place else None, _sql(place) if place else None, numeric=numeric):
        if isinstance(check, NotMeasurable):
            draft.skip(name, str(check), check.severity or severity, clause)
            continue
        listed = isinstance(check, Within) and isinstance(check.metric, NotIn)
        to.named(
            name,
            Clause.SEMANTICS if listed else clause,
            Severity.CRITICAL if listed and not quality.severity and _is_enum(check) else severity,
            check,
            description,
        )


def _is_enum(check: Check) -> bool:
    return isinstance(check, Within) and check.threshold.operator is Operator.MUST_BE and check.threshold.value == 0


def _sql(place: Place) -> str | None:
    """What a query calls the property; None for what is within an array or a map."""
    return None if any(step in _MANY for step in place.path) else ".".join(map(quoted, (place.column, *place.path)))
