"""What a study may search: how it is written, what is refused, and what is searched by default."""

import pytest

from accord.config.file import parse_config
from accord.errors import ConfigError, UsageError
from accord.tuning.dimensions import Choice, Range, parse_search
from accord.tuning.space import Space
from accord.tuning.trials import best_score

TABLE = {
    "encoder": {"path": "bert"},
    "training": {"gradients": "pcgrad", "seed": 4},
    "tasks": {
        "sst": {"kind": "classification", "text": "text"},
        "sts": {"kind": "pair-regression", "text": ["a", "b"]},
    },
}


def config(**changes):
    return parse_config({**TABLE, **changes})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lr=1e-5:1e-4", Range("training.lr", 1e-5, 1e-4)),
        ("lr=1e-5:1e-4:log", Range("training.lr", 1e-5, 1e-4, log=True)),
        ("epochs = 2:5", Range("training.epochs", 2, 5)),
        ("training.clip=0:1.5", Range("training.clip", 0.0, 1.5)),
        ("training.clip=0:1", Range("training.clip", 0.0, 1.0)),
        ("methods.fixed.weights.sts=1:10:log",
         Range("methods.fixed.weights.sts", 1.0, 10.0, log=True)),
        ("methods.cagrad.c=0:1", Range("methods.cagrad.c", 0.0, 1.0)),
        ("methods.lora.rank=2:8", Range("methods.lora.rank", 2, 8)),
        ("tasks.sst.dropout=0:0.5", Range("tasks.sst.dropout", 0.0, 0.5)),
        ("encoder.max_length=64:128", Range("encoder.max_length", 64, 128)),
        ('sharing.schemes=["lora"], ["pal", "lora"],[]',
         Choice("sharing.schemes", (["lora"], ["pal", "lora"], []))),
        ("training.batch_size=8,16", Choice("training.batch_size", (8, 16))),
        ("gradients=sum,pcgrad", Choice("training.gradients", ("sum", "pcgrad"))),
        ("pairs=joint, separate", Choice("pairs", ("joint", "separate"))),
        ("encoder.gradient_checkpointing=true,false",
         Choice("encoder.gradient_checkpointing", (True, False))),
        ('training.device="cpu",cuda:1', Choice("training.device", ("cpu", "cuda:1"))),
        ("tasks.sst.dropout=0.0:0.5", Range("tasks.sst.dropout", 0.0, 0.5)),
    ],
)  # fmt: skip
def test_a_search_is_read(text, expected):
    found = parse_search(text, TABLE)
    assert found == expected
    assert isinstance(found.ends[0], bool) == isinstance(expected.ends[0], bool)
    assert [type(own) for own in found.ends] == [type(own) for own in expected.ends]
    assert parse_search(str(found), TABLE) == found


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("lr", "takes KEY=LOW:HIGH, KEY=LOW:HIGH:log or KEY=A,B,C"),
        ("=1:2", "takes KEY=LOW:HIGH"),
        ("lr=", "takes KEY=LOW:HIGH"),
        ("lr=1e-5", "takes KEY=LOW:HIGH"),
        ("lr=1e-5:1e-4:lin", "takes KEY=LOW:HIGH"),
        ("lr=1e-5:1e-4:log:log", "takes KEY=LOW:HIGH"),
        ("lr=small:1e-4", "'small' is no finite number"),
        ("lr=0.1:inf", "'inf' is no finite number"),
        ("lr=:1", "'' is no finite number"),
        ("lr=1e-4:1e-5", "0.0001 is not below 1e-05"),
        ("epochs=3:3", "3 is not below 3"),
        ("training.clip=0:1:log", "a logarithmic range begins above 0, not at 0"),
        ("gradients=sum,", "a choice is empty"),
        ("training.batch_size=8,", "a choice is empty"),
        ('sharing.schemes=["lora","pal"]', '["lora","pal"] is a single choice; takes KEY=LOW'),
        ('sharing.schemes=["lora"],["lora"]', "a choice is there twice"),
        ('training.regularisers=[],["r-drp"]', "unknown value 'r-drp'; did you mean 'r-drop'?"),
        ("tasks.sst=1,2", "'tasks.sst': is a whole task; tasks.sst.KEY is one of its keys"),
        ("training.dev_share=0.1:0.5", "'training.dev_share' can't be searched: it changes which"),
        ("tasks.sst.limit=10:20", "can't be searched: it changes which rows trials are evaluated on"),
        ("tasks.sst.metric=accuracy,f1", "can't be searched: it changes what trials are evaluated by"),
        ("tasks.sst.train=a.csv,b.csv", "trials are evaluated on a share of it; with a dev file it"),
        ("encoder.path=./none,./other", "none: no such folder; an encoder is a folder or a hub id"),
        ("gradients=sum,sum", "a choice is there twice"),
        ("gradeints=sum,pcgrad", "no key of a config; did you mean 'gradients'?"),
        ("tasks.sts2.dropout=0:0.5", "no such task; did you mean 'sts'?"),
        ("tasks=sst,sts", "'tasks' can't be searched: scores of different tasks"),
        ("seed=0:9", "'seed' can't be searched: a seed is no setting"),
        ("score=mean,cs224n", "'score' can't be searched"),
        ("training.epoch=1:2", "unknown key 'training.epoch'; did you mean 'epochs'?"),
        ("training.epochs=0:2", "'training.epochs' should be at least 1, got 0"),
        ("training.epochs=1.0:2.0", "'training.epochs' should be a whole number, got 1.0"),
        ("gradients=sum,pcgard", "unknown value 'pcgard'; did you mean 'pcgrad'?"),
        ("methods.cagrad.b=0:1", "methods.cagrad: has no option 'b'"),
        ("methods.cagard.c=0:1", "methods.cagard: no such method"),
        ("methods.dwa.temperature=1.0:4.0", "'dwa' is not chosen, so its options make no"),
        ("encoder.mode.x=1:2", "'encoder.mode' should be"),
        ("mode=finetune,frozen", "a frozen encoder has none"),  # with this config's pcgrad
    ],
)  # fmt: skip
def test_a_wrong_search_is_one_line(text, fault, tmp_path):
    with pytest.raises(ConfigError) as error:
        Space.of(config(), [text], tmp_path)
    message = str(error.value)
    assert message.startswith(f"--search {text}: ")
    assert fault in message
    assert "\n" not in message


def test_lists_are_searched_as_texts(tmp_path):
    space = Space.of(config(), ['training.regularisers=[],["r-drop"]'], tmp_path)
    found = space.config({"training.regularisers": '["r-drop"]'}, "trial 0")
    assert found.training.regularisers == ["r-drop"]
    assert list(space.lines()) == ['training.regularisers=[],["r-drop"]']


def test_what_a_trial_trains_on_can_be_searched_where_it_is_not_evaluated_on():
    table = {**TABLE, "tasks": {**TABLE["tasks"], "words": {"kind": "masked-lm"}}}
    table["tasks"]["sst"] = {**TABLE["tasks"]["sst"], "dev": "dev.csv"}
    parse_search("tasks.sst.train=a.csv,b.csv", table)
    parse_search("tasks.words.mask_share=0.1:0.3", table)
    table["tasks"] = {"words": {"kind": "masked-lm"}}
    with pytest.raises(ConfigError, match="it changes what trials are evaluated by"):
        parse_search("tasks.words.mask_share=0.1:0.3", table)


def test_weights_that_the_gradient_method_drops_are_not_searched(tmp_path):
    given = config(training={"gradients": "imtl-g"})
    with pytest.raises(UsageError, match="would reach the heads alone: 'imtl-g' gives the encod"):
        Space.of(given, [], tmp_path)
    assert Space.of(given, ["lr=1e-5:1e-4"], tmp_path).dimensions


def test_a_key_is_searched_once(tmp_path):
    with pytest.raises(ConfigError, match=r"--search: training\.lr is there twice"):
        Space.of(config(), ["lr=1e-5:1e-4", "training.lr=1e-5,2e-5"], tmp_path)


def test_a_value_may_need_another_key_s(tmp_path):
    """Frozen doesn't go with pcgrad, but with sum it does: only that combination is refused."""
    space = Space.of(config(), ["mode=finetune,frozen", "gradients=pcgrad,sum"], tmp_path)
    settings = {"encoder.mode": "frozen", "training.gradients": "sum"}
    assert space.config(settings, "trial 0").encoder.mode == "frozen"
    with pytest.raises(ConfigError, match=r"^trial 0: training\.gradients: 'pcgrad' combines"):
        space.config({**settings, "training.gradients": "pcgrad"}, "trial 0")


def test_one_weight_a_task_is_searched_by_default(tmp_path):
    given = config(
        training={"balancing": "uncertainty"}, methods={"fixed": {"weights": {"sst": 7.0}}}
    )
    space = Space.of(given, [], tmp_path)
    assert list(space.lines()) == ["methods.fixed.weights.sts=0.1:10.0:log"]
    assert space.start == {"methods.fixed.weights.sts": 1.0}
    assert space.note == (
        "fixed weights take the place of balancing 'uncertainty'; trial 0 has equal ones"
    )
    found = space.config({"methods.fixed.weights.sts": 2.5}, "trial 0")
    assert found.training.balancing == "fixed"
    assert found.methods == {"fixed": {"weights": {"sst": 1.0, "sts": 2.5}}}


def test_one_task_has_no_weight_to_tune(tmp_path):
    alone = parse_config({"encoder": TABLE["encoder"], "tasks": {"sst": TABLE["tasks"]["sst"]}})
    with pytest.raises(UsageError, match="there is one task, 'sst', and so no weight to tune"):
        Space.of(alone, [], tmp_path)
    assert Space.of(alone, ["lr=1e-5:1e-4"], tmp_path).dimensions


def test_a_run_s_score_is_that_of_the_epoch_it_keeps():
    epochs = [{"sum": 1.0, "score": 0.1}, {"sum": 2.0, "score": 0.2}, {"sum": 2.0, "score": 0.3}]
    assert [best_score(epochs[:count]) for count in (1, 2, 3)] == [0.1, 0.2, 0.2]


def test_the_search_of_weights_begins_with_the_config_s_own(tmp_path):
    given = config(
        training={"balancing": "fixed"}, methods={"fixed": {"weights": {"sst": 2.0, "sts": 3.0}}}
    )
    found = Space.of(given, [], tmp_path)
    assert (found.start, found.note) == ({"methods.fixed.weights.sts": 1.5}, "")
    far = config(training={"balancing": "fixed"}, methods={"fixed": {"weights": {"sts": 50.0}}})
    found = Space.of(far, [], tmp_path)
    assert found.start == {"methods.fixed.weights.sts": 10.0}
    assert found.note.startswith("trial 0 has methods.fixed.weights.sts=10, not 50: weights are")


def test_options_of_a_method_that_another_search_chooses(tmp_path):
    Space.of(config(), ["balancing=equal,dwa", "methods.dwa.temperature=1.0:4.0"], tmp_path)
