"""Tables of the receipts store: received objects and the slides they make. They hold identity."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

instances = Table(
    "instance",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("sop_instance_uid", String(64), nullable=False),
    Column("sop_class_uid", String(64), nullable=False),
    Column("transfer_syntax_uid", String(64), nullable=False),
    Column("study_instance_uid", String(64), nullable=False, index=True),
    Column("series_instance_uid", String(64), nullable=False),
    Column("facts", Text, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("calling_ae_title", String(16), nullable=False),
    Column("association", String(32), nullable=False),
    Column("received_at", Float, nullable=False),
    Column("committed_at", Float, nullable=False),
    Column("slide_id", String(64), index=True),
    Column("revision", Integer, index=True),
    Column("dismissed", Boolean, nullable=False),
    UniqueConstraint("sop_instance_uid", "sha256", name="uq_instance_content"),
)

slides = Table(
    "slide",
    metadata,
    Column("slide_id", String(64), primary_key=True),
    Column("scanner", String(64), nullable=False),
    Column("container_identifier", Text, index=True),
    Column("container_issuer", Text),
    Column("study_instance_uid", String(64), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("sealed_revision", Integer, nullable=False),
    Column("open_revision", Integer, nullable=False),
    Column("forced", Boolean, nullable=False),
    Column("supersedes", String(64)),
)
