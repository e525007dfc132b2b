"""Tables of the receipts store. They hold identity.

Received objects and the slides they make, what scanners asked us to commit to, and what of it was
forwarded to archives.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
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
    Column("promised_at", Float),
    Column("purged_at", Float),
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

commitments = Table(
    "commitment",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("transaction_uid", String(64), nullable=False),
    Column("calling_ae_title", String(16), nullable=False),
    Column("association", String(32), nullable=False),
    Column("requested_at", Float, nullable=False),
    Column("state", String(16), nullable=False, index=True),
    Column("attempts", Integer, nullable=False),
    Column("next_try_at", Float),
    Column("answered_at", Float),
    UniqueConstraint("calling_ae_title", "transaction_uid", name="uq_commitment"),
)

commitment_items = Table(
    "commitment_item",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("commitment", Integer, ForeignKey("commitment.number"), nullable=False, index=True),
    Column("sop_class_uid", String(64), nullable=False),
    Column("sop_instance_uid", String(64), nullable=False, index=True),
    Column("reason", Integer),
)

deposits = Table(
    "deposit",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("route", String(64), nullable=False),
    Column("instance", Integer, ForeignKey("instance.number"), nullable=False, index=True),
    Column("state", String(16), nullable=False, index=True),
    Column("attempts", Integer, nullable=False),
    Column("retries", Integer, nullable=False),
    Column("next_try_at", Float),
    Column("lease_token", String(32)),
    Column("lease_until", Float),
    Column("error", Text),
    Column("error_code", String(32)),
    Column("next_step", Text),
    Column("sent_at", Float),
    Column("confirmed_at", Float),
    Column("updated_at", Float, nullable=False),
    UniqueConstraint("route", "instance", name="uq_deposit"),
)
