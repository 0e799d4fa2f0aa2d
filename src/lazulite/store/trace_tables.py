"""The tables of traces: what one call of an application did, in spans, and what was said of it afterwards."""

from __future__ import annotations

import sqlalchemy as sa

from lazulite.store.run_tables import Number, owner, text_table
from lazulite.store.tables import metadata

#: `created_in` is the run whose job token sent the trace; `finalized` that its client has said all of it.
traces = sa.Table(
    "traces",
    metadata,
    sa.Column("number", Number, primary_key=True),
    sa.Column("workspace", sa.BigInteger, nullable=False),
    sa.Column("trace_id", sa.String, nullable=False),
    sa.Column("experiment", sa.BigInteger, nullable=False),
    sa.Column("request_ms", sa.BigInteger, nullable=False),
    sa.Column("duration_ms", sa.BigInteger),
    sa.Column("state", sa.String, nullable=False),  # OK | ERROR | IN_PROGRESS | STATE_UNSPECIFIED
    sa.Column("client_request_id", sa.String),
    sa.Column("request_preview", sa.String),
    sa.Column("response_preview", sa.String),
    sa.Column("finalized", sa.Boolean, nullable=False),
    sa.Column("created_in", sa.String),
    sa.Index("traces_id", "workspace", "trace_id", unique=True),
    sa.Index("traces_experiment", "experiment", "request_ms"),
)

trace_tags = text_table("trace_tags", owner("trace"))
trace_metadata = text_table("trace_metadata", owner("trace"))

#: `document` is the span as OpenTelemetry's JSON, `attributes` its attributes alone as a JSON object of values.
spans = sa.Table(
    "spans",
    metadata,
    owner("trace"),
    sa.Column("span_id", sa.String, primary_key=True),
    sa.Column("parent_id", sa.String),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("type", sa.String, nullable=False),
    sa.Column("status", sa.String, nullable=False),  # OK | ERROR | UNSET
    sa.Column("start_ns", sa.BigInteger, nullable=False),
    sa.Column("end_ns", sa.BigInteger),
    sa.Column("document", sa.Text, nullable=False),
    sa.Column("attributes", sa.Text, nullable=False),
)

#: What is counted of traces (tokens; `span_id` is empty) and of spans (costs), out of metadata and attributes.
trace_numbers = sa.Table(
    "trace_numbers",
    metadata,
    owner("trace"),
    sa.Column("span_id", sa.String, primary_key=True),
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("value", sa.Double, nullable=False),
)

#: `kind` is feedback, expectation or issue. `text` and `number_value` are its value, as searches compare it.
assessments = sa.Table(
    "assessments",
    metadata,
    owner("trace"),
    sa.Column("assessment_id", sa.String, primary_key=True),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("text", sa.String),
    sa.Column("number_value", sa.Double),
    sa.Column("valid", sa.Boolean, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("document", sa.LargeBinary, nullable=False),  # JSON, as clients read it
)

#: Runs that a trace was linked to after it was made.
trace_runs = sa.Table(
    "trace_runs",
    metadata,
    owner("trace"),
    sa.Column("run_id", sa.String, primary_key=True),
    sa.Index("trace_runs_run", "run_id"),
)
