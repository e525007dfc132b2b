"""Which ways out the settings allow: each refusal is one sentence that names the key."""

import re
from pathlib import Path

import pytest

from appliance.errors import ConfigError
from appliance.settings import ColouredTiles, Settings, collude, load

BASE = """
[storage]
root = "/var/lib/coverslip"
[keys]
folder = "/etc/coverslip/keys"
"""

PACS = """
[[routes]]
name = "pacs"
recipient = "hospital"
place = "inside"
kind = "dimse"
carries = ["SR", "SEG"]
addresses = ["10.1.0.0/16"]
peer = { ae_title = "PACS", host = "10.1.0.9", port = 104, tls = { ca = "/etc/ca.pem" } }
"""

STATEMENT = 'statement = "Does not protect against whoever holds the original."'

STORE = (
    'store = { url = "s3://tiles/coverslip", endpoint = "https://store.example:9000", '
    'credentials_file = "/etc/coverslip/store.toml" }'
)
BUCKET = f"""
[[routes]]
name = "bucket"
recipient = "university"
place = "outside"
kind = "object_store"
carries = ["tiles"]
{STORE}
[routes.policy]
mechanism = "coloured_tiles"
{STATEMENT}
"""

FOLDER = BUCKET.replace("object_store", "folder").replace(STORE, 'folder = "/srv/tiles"')

SERVERS = f"""
[[routes]]
name = "servers"
recipient = "company"
place = "outside"
kind = "model_servers"
carries = ["tiles"]
servers = [{{ url = "grpcs://models.example:8001" }}, {{ url = "https://models.example:8000" }}]
[routes.model]
folder = "/etc/coverslip/models/remote"
digest = "sha256:{"a" * 64}"
name = "remote"
[routes.policy]
mechanism = "coloured_tiles"
colour = 1
{STATEMENT}
"""

SITE = (
    SERVERS.replace('"servers"', '"site"', 1)
    .replace('"company"', '"hospital-servers"')
    .replace('place = "outside"', 'place = "site"\naddresses = ["10.1.0.0/16"]')
    .replace("models.example", "10.1.0.20")
    .replace("coloured_tiles", "every_tile")
    .replace("colour = 1", "um_px = 1.0\ntile_px = 96")
)

REGISTRY = f"""
[[routes]]
name = "registry"
recipient = "registry"
place = "outside"
kind = "stow"
carries = ["outside_sr"]
web = {{ url = "https://registry.example/dicom-web" }}
[routes.policy]
mechanism = "bare_report"
{STATEMENT}
"""

SOUND = BASE + PACS + BUCKET + SERVERS + SITE + REGISTRY


@pytest.fixture
def parsed(tmp_path: Path):
    def parse(text: str) -> Settings:
        file = tmp_path / "coverslip.toml"
        file.write_text(text)
        return load(file)

    return parse


@pytest.fixture
def refusal(parsed):
    def refuse(text: str) -> str:
        with pytest.raises(ConfigError) as caught:
            parsed(text)
        return str(caught.value)

    return refuse


def changed(text: str, *replacements: tuple[str, str]) -> str:
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    return BASE + text


def without(text: str, *keys: str) -> str:
    kept = [line for line in text.splitlines() if not line.startswith(keys)]
    assert len(kept) < len(text.splitlines())
    return BASE + "\n".join(kept)


MODEL = SERVERS[SERVERS.index("[routes.model]") : SERVERS.index("[routes.policy]")]


def test_a_route_of_every_kind_stands_beside_the_others(parsed) -> None:
    settings = parsed(SOUND)
    mechanisms = {route.name: route.policy.mechanism for route in settings.routes}
    assert mechanisms == {
        "pacs": "true_patient",
        "bucket": "coloured_tiles",
        "servers": "coloured_tiles",
        "site": "every_tile",
        "registry": "bare_report",
    }
    assert settings.route("servers").hosts == ("models.example", "models.example")
    assert settings.route("bucket").hosts == ("store.example",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            changed(BUCKET, ("coloured_tiles", "bare_report")),
            "this route needs a policy with mechanism = 'coloured_tiles'",
        ),
        (
            changed(REGISTRY, ("bare_report", "coloured_tiles")),
            "this route needs a policy with mechanism = 'bare_report'",
        ),
        (
            changed(SITE, ("every_tile", "coloured_tiles"), ("um_px = 1.0\ntile_px = 96", "")),
            "this route needs a policy with mechanism = 'every_tile'",
        ),
        (
            changed(BUCKET, ("coloured_tiles", "every_tile")) + "um_px = 1.0\ntile_px = 96\n",
            "this route needs a policy with mechanism = 'coloured_tiles'",
        ),
        (BASE + REGISTRY.split("[routes.policy]", maxsplit=1)[0], "needs a policy"),
        (BASE + SITE.split("[routes.policy]", maxsplit=1)[0], "needs a policy"),
        (
            changed(PACS + "policy = { mechanism = 'bare_report', " + STATEMENT + " }\n"),
            "a route inside has the policy true_patient",
        ),
        (without(BUCKET, "mechanism"), "the key routes.1.policy.mechanism is missing"),
        (
            changed(BUCKET, ("coloured_tiles", "colored_tiles")),
            "policy.mechanism: there is no colored_tiles; did you mean coloured_tiles?",
        ),
        (without(BUCKET, "statement"), "the key routes.1.policy.statement is missing"),
        (changed(BUCKET, (STATEMENT, 'statement = "none"')), "policy.statement"),
    ],
)
def test_no_policy_no_route(refusal, text: str, words: str) -> None:
    assert words.replace("routes.1.", "routes.0.") in refusal(text)


@pytest.mark.parametrize(
    ("route", "line", "words"),
    [
        (BUCKET, "min_patient = 3", "unknown key routes.0.policy.min_patient; did you mean min_p"),
        (BUCKET, "jpeg_qualty = 3", "did you mean jpeg_quality?"),
        (BUCKET, "tile_px = 96", "unknown key routes.0.policy.tile_px"),
        (SITE, "tiles_px = 96", "did you mean tile_px?"),
        (SITE, "min_patients = 2", "unknown key routes.0.policy.min_patients"),
        (REGISTRY, "colour = 2", "unknown key routes.0.policy.colour"),
    ],
)
def test_a_typing_mistake_names_the_nearest_key_of_that_mechanism(
    refusal, route: str, line: str, words: str
) -> None:
    said = refusal(BASE + route + line + "\n")
    assert words in said
    variants = ("coloured_tiles", "every_tile", "bare_report")
    assert not any(f"policy.{name}" in said for name in variants), "the tag is no key of the file"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (changed(BUCKET, ('"outside"', '"inside"')), "an inside route is of kind dimse or stow"),
        (changed(SERVERS, ('"outside"', '"inside"')), "an inside route is of kind dimse or stow"),
        (changed(PACS, ('kind = "dimse"', 'kind = "folder"')), "of kind dimse or stow"),
        (changed(BUCKET, ('"outside"', '"site"'), ("coloured", "every")), "policy"),
        (changed(SITE, ('carries = ["tiles"]', 'carries = ["SR"]')), "carries tiles, nothing else"),
        (
            changed(SITE, ('kind = "model_servers"', 'kind = "folder"\nfolder = "/srv/tiles"')),
            "a route to servers of the site is of kind model_servers",
        ),
        (changed(SITE, ("https://10.1.0.20", "https://10.2.0.20")), "every server must be"),
        (changed(SITE, ("grpcs://10.1.0.20", "grpcs://gpu.hospital")), "every server must be"),
        (without(SITE, "addresses"), "every server must be an address inside addresses"),
        (without(PACS, "addresses"), "the peer's host must be an address inside addresses"),
        (
            changed(SERVERS, ('["tiles"]', '["outside_sr"]'), ("coloured_tiles", "bare_report")),
            "policy.colour",
        ),
    ],
)
def test_what_is_no_peer_of_the_hospital_is_never_inside(refusal, text: str, words: str) -> None:
    assert words in refusal(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (without(BUCKET, "store"), "a route of kind object_store needs a store table"),
        (without(SERVERS, "servers"), "a route of kind model_servers needs servers"),
        (without(PACS, "peer"), "a route of kind dimse needs a peer"),
        (without(REGISTRY, "web"), "a route of kind stow needs a web table"),
        (changed(BUCKET, ('"object_store"', '"folder"')), "of kind folder needs a folder"),
        (
            changed(SERVERS, (MODEL, "")),
            "model goes with kind model_servers",
        ),
        (changed(BUCKET, ("s3://", "ftp://")), "store.url"),
        (changed(BUCKET, ("s3://tiles/coverslip", "s3://tiles/a b")), "store.url"),
        (changed(SERVERS, (":8001", "")), "the url of a server needs a port"),
        (changed(SERVERS, ("grpcs://", "tcp://")), "servers"),
        (
            changed(
                SERVERS,
                ('"grpcs://models.example:8001"', '"grpc://127.0.0.1:1", tls = { ca = "/ca" }'),
            ),
            "tls goes with grpcs or https",
        ),
        (changed(SERVERS, ("sha256:", "md5:")), "model.digest"),
        (
            changed(SERVERS, ("colour = 1", "colour = 1\ntiles_per_shard = 1025")),
            "tiles_per_shard may be at most 1024 for model servers",
        ),
        (
            changed(SITE, ("tile_px = 96", "tile_px = 4096")),
            "model.batch may be at most 5 with tiles so large",
        ),
        (BASE + BUCKET.replace("store =", "confirmation = {}\nstore ="), "confirmation is asked"),
        (changed(BUCKET, ("https:", "http:")), "the route is in clear text"),
        (changed(SERVERS, ("grpcs:", "grpc:")), "the route is in clear text"),
        (changed(SERVERS, ("https:", "http:")), "the route is in clear text"),
        (BASE + BUCKET.replace("store =", "limits = { tiles_per_day = 0 }\nstore ="), "limits"),
        (
            BASE + BUCKET.replace("store =", "limits = { tiles_per_day = 255 }\nstore ="),
            "tiles_per_day is below tiles_per_shard: no batch could leave",
        ),
        (
            changed(PACS, ('["SR", "SEG"]', '["originals"]\nlimits = { parcels_per_day = 1 }')),
            "an archive route has no limits of a day, only mb_s",
        ),
        (
            changed(REGISTRY, ("outside_sr", "tiles"), ("bare_report", "coloured_tiles"))
            + "tiles_per_shard = 513\n",
            "tiles_per_shard may be at most 512 in DICOM",
        ),
        (changed(BUCKET, ("s3://tiles", "file://tiles")), "the url is to be file:///folder"),
        (changed(BUCKET, ("https://store", "https://me:secret@store")), "no user and no password"),
        (changed(SERVERS, ("grpcs://models", "grpcs://me@models")), "no user and no password"),
        (changed(REGISTRY, ("https://registry", "https://:secret@reg")), "no user and no password"),
        (changed(BUCKET, ("s3://tiles", "s3://me:secret@tiles")), "store.url"),
        (changed(FOLDER, ("/srv/tiles", "srv/tiles")), "a whole path from / on"),
        (changed(FOLDER, ("/srv/tiles", "/srv/../var/lib/coverslip")), "a whole path from / on"),
        (
            changed(BUCKET, (STORE, 'store = { url = "file:///srv/../var/lib/coverslip" }')),
            "a whole path from / on",
        ),
        (
            changed(FOLDER, ("/srv/tiles", "/var/lib/coverslip/outbox/bucket")),
            "the folder of route bucket lies in storage.root",
        ),
        (
            changed(BUCKET, (STORE, 'store = { url = "file:///var/lib/coverslip/outbox/bucket" }')),
            "the folder of route bucket lies in storage.root",
        ),
        (changed(BUCKET, ("s3://tiles", "file:///tiles")), "a folder needs none"),
    ],
)
def test_a_way_that_leads_nowhere_or_in_the_clear_is_refused(
    refusal, text: str, words: str
) -> None:
    assert words in refusal(text)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_on_the_machine_itself_nobody_needs_tls(parsed, host: str) -> None:
    parsed(changed(BUCKET, ("https://store.example", f"http://{host}")))


def test_a_waiver_lets_a_route_go_in_the_clear(parsed) -> None:
    text = BUCKET.replace("https:", "http:")
    waiver = 'waiver = "A link of its own to the university; decided by IT."\nstore ='
    parsed(BASE + text.replace("store =", waiver))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("crop_px = 193", "crop_px may be at most 0.75 of cell_px"),
        ("um_px = 0.24", "the mean gap between tiles must be at least 16"),
        ("cell_px = 64\ncrop_px = 48", "the mean gap between tiles must be at least 16"),
        ("colour = 4", "policy.colour"),
        ("colours = 3", "policy.colours"),
        ("colours = 2\ncolour = 2", "colour must be below colours"),
        ("min_patients = 300", "tiles_per_shard must be at least min_patients"),
        ("max_share_of_batch = 0.01", "max_share_of_batch times min_patients"),
        ('few_tiles = "send"', "policy.few_tiles"),
        ("min_patients = 0", "policy.min_patients"),
        ("min_patients = 1\ntiles_per_shard = 1", "policy.tiles_per_shard"),
        ("colours = 2", "route bucket: colours = 2 is for two recipients who may collude"),
        ("max_tiles_per_patient = 0", "policy.max_tiles_per_patient"),
    ],
)
def test_a_plan_that_protects_nothing_is_refused(refusal, line: str, words: str) -> None:
    assert words in refusal(BASE + BUCKET + line + "\n")


HALF = "colours = 2\ncolludes_with = []\n"
OTHER = BUCKET.replace('"bucket"', '"other"').replace('"university"', '"institute"')


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BUCKET + BUCKET, "two routes have the same name"),
        (BUCKET + OTHER, "the route other has the colour of the route bucket"),
        (BUCKET + OTHER + "colour = 1\ncrop_px = 160\n", "lays another grid"),
        (BUCKET + OTHER + "colour = 1\num_px = 1.0\n", "lays another grid"),
        (BUCKET + OTHER + "colour = 1\ncolours = 2\n", "lays another grid"),
        (
            BUCKET + HALF + OTHER + HALF + "colour = 1\n",
            "route bucket: colours = 2 is for two recipients who may collude",
        ),
        # One of them saying so is enough.
        (BUCKET + OTHER + "colludes_with = []\n", "the route other has the colour"),
        (
            BUCKET + "colludes_with = ['institute']\n" + OTHER + "colludes_with = []\n",
            "may collude",
        ),
        (BUCKET + "colludes_with = ['nobody']\n", "route bucket: no recipient nobody gets tiles"),
        (
            BUCKET + OTHER.replace('"institute"', '"university"') + "colour = 1\n",
            "the recipient university has two routes for tiles",
        ),
        (
            BUCKET + REGISTRY.replace('recipient = "registry"', 'recipient = "university"'),
            "recipient university may get tiles or reports, never both",
        ),
        (
            PACS + SITE.replace('"hospital-servers"', '"hospital"'),
            "recipient hospital may get tiles or reports, never both",
        ),
    ],
)
def test_recipients_that_could_put_their_shares_together_are_refused(
    refusal, text: str, words: str
) -> None:
    assert words in refusal(BASE + text)


def test_recipients_that_do_not_collude_may_have_the_same_tiles(parsed) -> None:
    alone = "colludes_with = []\n"
    settings = parsed(BASE + BUCKET + alone + OTHER + alone)
    assert not collude(settings.route("bucket"), settings.route("other"))
    assert not collude(settings.route("bucket"), settings.route("bucket").model_copy())


def test_two_recipients_who_may_collude_share_a_checkerboard(parsed) -> None:
    settings = parsed(BASE + BUCKET + "colours = 2\n" + OTHER + "colours = 2\ncolour = 1\n")
    assert [route.policy.colour for route in settings.routes] == [0, 1]


def test_digests_name_what_a_policy_says_and_what_the_attack_measures(parsed) -> None:
    def of(text: str) -> tuple[str, str]:
        route = parsed(BASE + text).route("bucket")
        assert isinstance(route.policy, ColouredTiles)
        return route.policy_digest, route.policy.plan_digest

    policy, plan = of(BUCKET)
    assert of(BUCKET + "min_patients = 21\n") != (policy, plan)
    assert of(BUCKET + "min_patients = 21\n")[1] == plan
    assert of(BUCKET + "colour = 3\n")[1] == plan
    assert of(BUCKET + "crop_px = 160\n")[1] != plan
    elsewhere = of(BUCKET.replace("university", "institute"))
    assert elsewhere[0] != policy
    assert elsewhere[1] == plan
    limited = BUCKET.replace("store =", "limits = { mb_per_day = 9 }\nstore =")
    assert of(limited)[0] == policy, "a limit changes nothing about what was signed before"


def test_what_the_shipped_example_comments_out_is_sound_too(parsed) -> None:
    example = (Path(__file__).parents[2] / "docs" / "coverslip.toml").read_text(encoding="utf-8")
    start = example.index("# Every other route spells")
    lines = example[start : example.index("# System groups")].splitlines()
    table = re.compile(r"# (\[|\w+ = |  \{|\])")
    text = "\n".join(line.removeprefix("# ") if table.match(line) else line for line in lines)
    settings = parsed(BASE + text.replace("sha256:...", f"sha256:{'0' * 64}"))
    assert {(route.place, route.kind) for route in settings.routes} >= {
        ("outside", "object_store"),
        ("outside", "model_servers"),
        ("site", "model_servers"),
    }
    named = {key for route in settings.routes for key in route.policy.model_fields_set}
    assert named >= set(ColouredTiles.model_fields), "each key of a plan is in the example"
