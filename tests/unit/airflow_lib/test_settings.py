"""The Variables become settings, or one error that lists every mistake."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from airflow_lib.errors import SettingsError
from airflow_lib.pipeline import Hardware, Pipeline, SparkJob
from airflow_lib.settings import parse_settings
from sandbox.tls import make_certificate

CA = "-----BEGIN CERT" + make_certificate("10.0.0.1").decode().partition("-----BEGIN CERT")[2]
ROOT = Path(__file__).resolve().parents[3]


def mayfly(**changes):
    value = json.loads((ROOT / "variables.example.json").read_text())["mayfly"]
    for path, item in changes.items():
        *parents, key = path.split("__")
        target = value
        for parent in parents:
            target = target.setdefault(parent, {})
        if item is None:
            target.pop(key, None)
        else:
            target[key] = item
    return value


def parse(mayfly_value, **others):
    return parse_settings({"aws_region": "eu-central-1", "mayfly": json.dumps(mayfly_value), **others})


def test_the_example_is_valid_as_it_is():
    variables = json.loads((ROOT / "variables.example.json").read_text())
    settings = parse_settings(
        {name: value if isinstance(value, str) else json.dumps(value) for name, value in variables.items()}
    )
    assert settings.mayfly.deployment == "dev"
    assert settings.credentials is None


def test_missing_variables_are_named_all_at_once():
    with pytest.raises(SettingsError, match=r"(?s)aws_region: the Variable is missing.*mayfly: the Variable"):
        parse_settings({})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"deployment": None}, "mayfly: deployment: missing; set it (setup_backend.md"),
        (
            {"deploymnet": "dev"},
            "mayfly: deploymnet: no such key; did you mean deployment? (setup_backend.md",
        ),
        ({"deployment": "Dev!"}, "mayfly: deployment: String should match"),
        ({"s3__source": "my-bucket/source"}, "mayfly: s3.source: 'my-bucket/source' is not an S3 location"),
        (
            {"emr__core_count": "many"},
            "mayfly: emr.core_count: a whole number is expected, text was found; write one",
        ),
        ({"emr__release": "emr-6.15.0"}, "mayfly: emr.release: 'emr-6.15.0' is not an EMR 7 release"),
        ({"warehouse__node_type": "dc2.large"}, "AWS no longer creates dc2.large nodes; write ra3.large"),
        ({"warehouse__keep_snapshots": 1}, "mayfly: warehouse.keep_snapshots: Input should be greater"),
        ({"network__client_cidr": "0.0.0.0/0"}, "would open Livy and Redshift to other people's hosts"),
        ({"network__client_cidr": "8.8.0.0/16"}, "would open Livy and Redshift to other people's hosts"),
        ({"network__client_cidr": "10.0.0.1/8"}, "has host bits set; write a CIDR such as"),
        (
            {"network__client_cidr": "here"},
            "'here' does not appear to be an IPv4 or IPv6 network; write a CIDR",
        ),
        ({"network__client_security_group_id": None}, "so nobody could connect to Livy or Redshift"),
        ({"network__client_security_group_id": None}, "workers and its triggerer are"),
        ({"keep_alive_s": 3600}, "mayfly: keep_alive_s (3600) must be below emr.idle_timeout_s (3600)"),
        ({"livy__scheme": "ftp"}, "mayfly: livy.scheme: Input should be 'auto', 'https' or 'http'"),
        ({"livy__ca": "/etc/ssl/ca.pem"}, "mayfly: livy.ca: no certificate (no start line"),
        ({"livy__ca": ""}, "mayfly: livy.ca: no certificate ("),
        ({"livy__ca": "c\u00e4"}, "mayfly: livy.ca: no certificate ("),
        (
            {"livy__ca": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"},
            "mayfly: livy.ca: no certificate (",
        ),
        ({"livy__ca": make_certificate("10.0.0.1").decode()}, "mayfly: livy.ca: it holds a private key"),
        ({"livy": {"ca": CA, "scheme": "http"}}, "mayfly: livy: ca verifies TLS, and scheme is http"),
        ({"lease_s": 5}, "mayfly: lease_s: Input should be greater than or equal to 60"),
    ],
)
def test_a_wrong_key_is_named_with_what_to_do(change, message):
    with pytest.raises(SettingsError) as caught:
        parse(mayfly(**change))
    assert message in str(caught.value)


def test_every_mistake_of_every_variable_is_listed_at_once():
    with pytest.raises(SettingsError) as caught:
        parse(mayfly(deployment="Dev!", emr__core_count=0, s3__logs="x"), aws_region="Frankfurt")
    assert str(caught.value).count("\n- ") == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [("{'a': 1}", "mayfly: not JSON (line 1, column 2"), ("[1]", "a JSON object is expected, a list was")],
)
def test_text_that_is_not_a_json_object_is_refused_with_the_place_of_the_mistake(text, message):
    with pytest.raises(SettingsError) as caught:
        parse_settings({"aws_region": "us-east-1", "mayfly": text})
    assert message in str(caught.value)


def test_one_address_may_be_public_and_private_ranges_may_be_wide():
    assert parse(mayfly(network__client_cidr="8.8.8.8/32")).mayfly.network.client_cidr == "8.8.8.8/32"
    assert parse(mayfly(network__client_cidr="10.0.0.0/16")).mayfly.network.client_cidr == "10.0.0.0/16"


def test_no_secret_is_ever_shown():
    secret = "wJalrXUtnFEMI"
    credentials = json.dumps({"access_key_id": "AKIA", "secret_access_key": secret})
    settings = parse(mayfly(), aws_credentials=credentials)
    assert secret not in repr(settings)
    with pytest.raises(SettingsError) as caught:
        parse(mayfly(), aws_credentials=json.dumps({"secret_access_key": secret, "typo": secret}))
    assert secret not in str(caught.value)
    assert "aws_credentials: access_key_id: missing" in str(caught.value)


def test_a_pipelines_overrides_are_merged_and_validated():
    changed = mayfly(emr__core_count=2, pipelines__goodreads__emr={"core_type": "m5.2xlarge"})
    emr = parse(changed).for_pipeline("goodreads").mayfly.emr
    assert (emr.core_count, emr.core_type) == (2, "m5.2xlarge")
    assert parse(changed).for_pipeline("flats").mayfly.emr.core_type is None
    wrong = mayfly(pipelines__goodreads__warehouse={"node_type": "dc2.large"})
    with pytest.raises(
        SettingsError, match=r"mayfly: pipelines\.goodreads\.warehouse\.node_type: AWS no longer"
    ):
        parse(wrong).for_pipeline("goodreads")


WRONG_OVERRIDES = [
    ({"core_cuont": 3}, "core_cuont: no such key; did you mean pipelines.goodreads.emr.core_count?"),
    (
        {"emr": {"core_cuont": 3}},
        "emr.core_cuont: no such key; did you mean pipelines.goodreads.emr.core_count?",
    ),
    ({"emr": {"nodes": 3}}, "emr.nodes: no such key; did you mean pipelines.goodreads.warehouse.nodes?"),
    ({"emr": {"core_count": True}}, "emr.core_count: a whole number is expected, true or false was found"),
    ({"emr": {"core_count": "3"}}, "emr.core_count: a whole number is expected, text was found"),
    ({"emr": [3]}, "emr: a JSON object is expected, a list was found"),
    ({"warehouse": None}, "warehouse: a JSON object is expected, null was found"),
    ({"warehouse": {"nodes": 99}}, "warehouse.nodes: Input should be less than or equal to 32"),
    ({"source": "my-bucket"}, "source: 'my-bucket' is not an S3 location; write s3://bucket/prefix"),
    ({"source": 1}, "source: text is expected, a number was found"),
]


@pytest.mark.parametrize(("override", "message"), WRONG_OVERRIDES)
def test_a_wrong_override_is_named_with_its_place_once_its_pipeline_is_asked_for(override, message):
    settings = parse(mayfly(pipelines__goodreads=override))
    assert settings.for_pipeline("flats") == settings
    with pytest.raises(SettingsError) as caught:
        settings.for_pipeline("goodreads")
    assert f"- mayfly: pipelines.goodreads.{message}" in str(caught.value)


@pytest.mark.parametrize("override", [None, [], "emr", 3])
def test_an_override_that_is_no_object_is_refused_once_its_pipeline_is_asked_for(override):
    value = mayfly()
    value["pipelines"] = {"goodreads": override}
    with pytest.raises(SettingsError, match=r"mayfly: pipelines\.goodreads: a JSON object is expected"):
        parse(value).for_pipeline("goodreads")


def test_all_mistakes_of_an_override_are_told_at_once_and_the_others_are_left_alone():
    changed = mayfly(
        pipelines__goodreads={"sorce": "s3://b/x", "emr": {"core_cuont": 3, "ebs_gib": "64"}},
        pipelines__flats={"emr": {"core_count": 3}},
    )
    with pytest.raises(SettingsError) as caught:
        parse(changed).for_pipeline("goodreads")
    assert str(caught.value).count("\n- ") == 3
    assert parse(changed).for_pipeline("flats").mayfly.emr.core_count == 3
    assert parse(changed).overridden == ["flats", "goodreads"]


def test_where_the_deployments_keys_are_wrong_the_overrides_mistakes_are_told_with_them():
    with pytest.raises(SettingsError) as caught:
        parse(mayfly(lease_s="1800", pipelines__goodreads={"emr": {"core_cuont": 3}}))
    assert "mayfly: lease_s: a whole number is expected" in str(caught.value)
    assert "mayfly: pipelines.goodreads.emr.core_cuont: no such key" in str(caught.value)


def test_every_pipelines_overrides_can_be_checked_at_once():
    wrong = mayfly(
        keep_alive_s=600,
        pipelines__goodreads={"emr": {"core_cuont": 3}},
        pipelines__flats={"emr": {"idle_timeout_s": 300}},
    )
    with pytest.raises(
        SettingsError, match=r"(?s)flats merged in\): keep_alive_s.*goodreads\.emr\.core_cuont"
    ):
        parse(wrong).check_overrides()
    parse(mayfly(pipelines__goodreads={"emr": {"core_count": 3}})).check_overrides()


@pytest.mark.parametrize("name", ["Goodreads", "good-reads", "", "2books", "a" * 17, "goodreads\n"])
def test_a_name_that_no_pipeline_can_have_is_refused_whoever_asks(name):
    value = mayfly()
    value["pipelines"] = {name: {}}
    with pytest.raises(SettingsError, match=r"mayfly: pipelines\..*: no pipeline can have this name"):
        parse(value)


def test_a_hundred_mistakes_are_listed_and_the_others_counted():
    value = mayfly()
    value["pipelines"] = {f"Wrong{number}": {} for number in range(1000)}
    with pytest.raises(SettingsError, match="900 further mistakes; correct these first") as caught:
        parse(value)
    assert str(caught.value).count("\n- ") == 101


def test_a_pipeline_may_have_a_source_of_its_own():
    changed = mayfly(pipelines__goodreads__source="s3://their-bucket/books/")
    assert parse(changed).for_pipeline("goodreads").mayfly.s3.source == "s3://their-bucket/books"
    assert parse(changed).for_pipeline("flats").mayfly.s3.source == "s3://my-company-mayfly/source"


def test_an_override_keeps_the_other_values_and_the_rules_between_them():
    changed = mayfly(keep_alive_s=600, pipelines__goodreads__emr={"idle_timeout_s": 300})
    with pytest.raises(SettingsError, match=r"keep_alive_s \(600\) must be below emr.idle_timeout_s \(300\)"):
        parse(changed).for_pipeline("goodreads")


def test_a_pipeline_may_keep_its_clusters_for_a_time_of_its_own():
    changed = mayfly(
        keep_alive_s=600, pipelines__goodreads__keep_alive_s=1200, pipelines__flats__keep_alive_s=0
    )
    settings = parse(changed)
    own = [settings.for_pipeline(name).mayfly.keep_alive_s for name in ("goodreads", "flats", "birds")]
    assert own == [1200, 0, 600]


@pytest.mark.parametrize(
    ("override", "told"),
    [
        (
            {"keep_alive_s": 3600},
            "goodreads merged in): keep_alive_s (3600) must be below emr.idle_timeout_s",
        ),
        (
            {"keep_alive_s": 900, "emr": {"idle_timeout_s": 300}},
            "keep_alive_s (900) must be below emr.idle_timeout_s (300)",
        ),
        (
            {"keep_alive_s": -1},
            "pipelines.goodreads.keep_alive_s: Input should be greater than or equal to 0",
        ),
        ({"keep_alive_s": 86401}, "pipelines.goodreads.keep_alive_s: Input should be less than or equal to"),
        ({"keep_alive_s": "900"}, "pipelines.goodreads.keep_alive_s: a whole number is expected, text was"),
        (
            {"keep_alive": 900},
            "goodreads.keep_alive: no such key; did you mean pipelines.goodreads.keep_alive_s",
        ),
    ],
)
def test_a_keep_alive_of_a_pipeline_is_held_to_the_deployments_rules(override, told):
    settings = parse(mayfly(pipelines__goodreads=override))
    with pytest.raises(SettingsError) as caught:
        settings.for_pipeline("goodreads")
    assert told in str(caught.value)
    assert settings.for_pipeline("flats").mayfly.keep_alive_s == 0


def test_a_slash_at_the_end_of_a_location_is_dropped():
    assert parse(mayfly(s3__logs="s3://my-bucket/logs/")).mayfly.s3.logs == "s3://my-bucket/logs"


@pytest.mark.parametrize("region", ["Frankfurt", "eu-central", "eu-central-1a", "us-east-1 "])
def test_what_is_not_a_regions_name_is_refused(region):
    with pytest.raises(SettingsError, match="is not a region's name; write one such as us-east-1"):
        parse(mayfly(), aws_region=region)


def test_temporary_credentials_carry_a_session_token():
    text = json.dumps({"access_key_id": "AKIA", "secret_access_key": "x", "session_token": "y"})
    token = parse(mayfly(), aws_credentials=text).credentials.session_token
    assert token.get_secret_value() == "y"


def test_hardware_is_the_declaration_with_the_values_that_the_variable_sets():
    declared = Hardware(core_type="m5.2xlarge", core_count=3, ebs_gib=100, warehouse_nodes=2)
    pipeline = Pipeline(
        "birds", datetime(2020, 1, 1, tzinfo=UTC), (SparkJob("a", ("a.csv",)),), (), hardware=declared
    )
    assert parse(mayfly()).hardware(pipeline) == declared
    changed = mayfly(emr__core_count=5, warehouse__node_type="ra3.xlplus")
    assert parse(changed).hardware(pipeline) == Hardware(
        core_type="m5.2xlarge",
        core_count=5,
        ebs_gib=100,
        warehouse_node_type="ra3.xlplus",
        warehouse_nodes=2,
    )


def test_a_key_may_be_null_where_its_default_is_no_value():
    value = mayfly(emr__release="emr-7.14.0")
    value["network"]["client_cidr"] = None
    settings = parse(value).mayfly
    assert settings.network.client_cidr is None
    assert settings.emr.release == "emr-7.14.0"


def test_livy_is_reached_by_whichever_scheme_answers_unless_one_is_named():
    assert parse(mayfly()).mayfly.livy.scheme == "auto"
    assert parse(mayfly(livy__scheme="http")).mayfly.livy.scheme == "http"


def test_a_ca_of_livys_is_pem_text():
    livy = parse(mayfly(livy__ca=CA)).mayfly.livy
    assert (livy.scheme, livy.ca) == ("auto", CA)


NUMBERS = [
    *(
        "emr__create_timeout_s",
        "emr__delete_timeout_s",
        "warehouse__create_timeout_s",
        "warehouse__delete_timeout_s",
    ),
    *(
        "livy__session_timeout_s",
        "livy__statement_timeout_s",
        "livy__port",
        "lease_s",
        "keep_alive_s",
        "max_age_s",
    ),
    *(
        "poll_s",
        "emr__core_count",
        "emr__ebs_gib",
        "emr__idle_timeout_s",
        "warehouse__nodes",
        "warehouse__keep_snapshots",
    ),
]


@pytest.mark.parametrize("key", NUMBERS)
@pytest.mark.parametrize("value", [True, False, "60", [60], {}, "NaN"])
def test_a_number_is_neither_a_truth_nor_text_nor_a_list(key, value):
    with pytest.raises(
        SettingsError, match=rf"{key.replace('__', '.')}: a (whole )?number is expected, .* was found"
    ):
        parse(mayfly(**{key: value}))


@pytest.mark.parametrize("key", ["s3", "network", "emr", "warehouse", "livy", "notify", "pipelines"])
@pytest.mark.parametrize("value", [[], "x", 3, True, None])
def test_what_has_keys_is_an_object(key, value):
    changed = {**mayfly(), key: value}
    with pytest.raises(
        SettingsError, match=rf"mayfly: {key}: a JSON object is expected, .* was found; write"
    ):
        parse(changed)


@pytest.mark.parametrize("key", NUMBERS)
@pytest.mark.parametrize("value", [10**9, 10**18, -1, 1e-300, 1e308])
def test_every_number_is_bounded_on_both_sides(key, value):
    with pytest.raises(
        SettingsError,
        match=rf"mayfly: {key.replace('__', '.')}: (Input should be|a whole number is expected)",
    ):
        parse(mayfly(**{key: value}))


def test_a_lease_of_decades_and_a_poll_without_a_pause_are_refused():
    with pytest.raises(SettingsError, match="lease_s: Input should be less than or equal to 86400"):
        parse(mayfly(lease_s=10**9))
    with pytest.raises(SettingsError, match="poll_s: Input should be greater than or equal to 0.1"):
        parse(mayfly(poll_s=1e-300))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"lease_s": ' + "9" * 5000 + "}", "mayfly: an integer of more than 64 bits; correct it there"),
        ('{"poll_s": NaN}', "mayfly: NaN is not JSON; correct it there"),
        ("[" * 100_000, "mayfly: nested deeper than 64 levels; correct it there"),
        ('{"poll_s": 1, "poll_s": 2}', "mayfly: the key 'poll_s' is there twice; correct it there"),
        (" " * 5_000_000, "mayfly: 5000000 bytes long, 4194304 at most are read; correct it there"),
    ],
    ids=["digits", "NaN", "deep", "twice", "huge"],
)
def test_json_that_is_out_of_bounds_is_refused_like_any_other_mistake(text, message):
    with pytest.raises(SettingsError) as caught:
        parse_settings({"aws_region": "us-east-1", "mayfly": text})
    assert message in str(caught.value)


def test_a_key_of_digits_is_an_unknown_key_like_any_other():
    with pytest.raises(SettingsError, match="aws_credentials: 0: no such key; remove it"):
        parse(mayfly(), aws_credentials='{"0": null}')


@pytest.mark.parametrize(
    "key", ["s3__source", "network__subnet_id", "emr__core_type", "notify__sns_topic_arn"]
)
def test_every_text_is_bounded(key):
    with pytest.raises(SettingsError, match="should have at most 4096 characters") as caught:
        parse(mayfly(**{key: "s3://bucket/" + "x" * 10_000}))
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("region", ["us-east-١", "us-" + "a" * 1000 + "-1", "us" + "-a" * 1000 + "-1"])
def test_a_regions_name_is_short_and_of_ascii(region):
    with pytest.raises(SettingsError, match="is not a region's name"):
        parse(mayfly(), aws_region=region)


SMTP = "airflow.providers.smtp.notifications.smtp.SmtpNotifier"


def test_a_notifier_is_told_of_all_but_warnings_unless_it_says_otherwise():
    settings = parse(mayfly(notify={"notifiers": [{"class": SMTP, "arguments": {"to": ["a", "b"]}}]}))
    (notifier,) = settings.mayfly.notify.notifiers
    assert (notifier.path, notifier.arguments) == (SMTP, {"to": ["a", "b"]})
    assert notifier.on == ["red", "leftovers", "late"]


def test_every_mistake_in_the_notifiers_is_told_at_once():
    notifiers = [
        {"class": "SmtpNotifier", "on": ["red", "green"]},
        {"clas": SMTP, "on": []},
        {"class": SMTP, "arguments": "to"},
        {"class": "os.system; x"},
    ]
    with pytest.raises(SettingsError) as caught:
        parse(mayfly(notify={"notifiers": notifiers}))
    told = str(caught.value)
    for mistake in (
        "notify.notifiers.0.class: 'SmtpNotifier' is not the path of a class; write one such as airflow.",
        "notify.notifiers.0.on.1: Input should be 'red', 'leftovers', 'late' or 'warnings'",
        "notify.notifiers.1.class: missing; set it",
        "notify.notifiers.1.clas: no such key; did you mean notify.notifiers.class?",
        "notify.notifiers.1.on: List should have at least 1 item",
        "notify.notifiers.2.arguments: a JSON object is expected, text was found",
        "notify.notifiers.3.class: 'os.system; x' is not the path of a class",
    ):
        assert f"mayfly: {mistake}" in told


def test_notifiers_that_are_no_list_are_refused():
    with pytest.raises(SettingsError, match=r"mayfly: notify\.notifiers: a list is expected, an object was"):
        parse(mayfly(notify={"notifiers": {"class": SMTP}}))


def test_a_pipeline_with_overrides_keeps_the_notifiers():
    notifiers = [{"class": SMTP, "arguments": {"to": "people"}, "on": ["late"]}]
    settings = parse(mayfly(notify={"notifiers": notifiers}, pipelines={"flats": {"keep_alive_s": 60}}))
    assert settings.for_pipeline("flats").mayfly.notify == settings.mayfly.notify


def test_a_mistake_in_a_notifier_does_not_show_its_arguments():
    with pytest.raises(SettingsError) as caught:
        parse(mayfly(notify={"notifiers": [{"class": "x", "arguments": {"password": "hush-hush"}}]}))
    assert "hush" not in str(caught.value)


def test_when_a_pipeline_is_to_be_ready_is_said_by_pipeline():
    settings = parse(mayfly(pipelines={"flats": {"ready_by": "06:00 Europe/Berlin"}, "birds": {}}))
    assert {name: str(by) for name, by in settings.ready_by.items()} == {"flats": "06:00 Europe/Berlin"}
    assert settings.for_pipeline("flats").ready_by == settings.ready_by


def test_a_time_that_is_none_fails_its_pipeline_alone():
    settings = parse(
        mayfly(pipelines={"flats": {"ready_by": "6 o'clock"}, "birds": {"ready_by": "06:00 UTC"}})
    )
    assert list(settings.ready_by) == ["birds"]
    with pytest.raises(SettingsError, match=r"mayfly: pipelines\.flats\.ready_by: .* is no time of day"):
        settings.for_pipeline("flats")
