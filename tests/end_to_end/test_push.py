"""A model's upload, to a server that plays the hub: one commit, and no token in any line."""

import socket

import pytest
from fake_hub import TOKEN, USER, running
from huggingface_hub import ModelCard, close_session, constants
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id
from hypothesis import given
from hypothesis import strategies as st

import accord
from accord.publishing.hub import nearest_repository, scrubbed
from accord.publishing.readme import README

# The hub's library says so of its own call, in the protocol that this server speaks.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload:DeprecationWarning")


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """The hub that this process asks, by its plain protocol, and a home without a token."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "home" / "token"))
    monkeypatch.setattr(constants, "HF_STORED_TOKENS_PATH", str(tmp_path / "home" / "tokens"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with running() as made:
        monkeypatch.setattr(constants, "ENDPOINT", made.address)
        yield made
        close_session()


@pytest.fixture
def token_file(tmp_path):
    file = tmp_path / "token.txt"
    file.write_text(f"{TOKEN}\n")
    return file


def test_the_model_that_goes_up_is_the_one_that_comes_down(
    copied, hub, token_file, accord_cli, tmp_path
):
    (copied / "model" / "notes.txt").write_text("mine")
    (copied / "model" / "LICENSE").write_text("free")
    answer = accord_cli("push", copied, "films", "--private", "--token-file", token_file)
    assert (answer.code, answer.err) == (0, "left out: notes.txt\n")
    files = hub.repositories[f"{USER}/films"]
    assert answer.out == (
        f"{len(files)} files uploaded to {USER}/films:"
        f" {hub.address}/{USER}/films/commit/{'0' * 40}\n"
    )
    assert hub.private == {f"{USER}/films"}
    assert hub.commits == [len(files)]
    assert set(files) == {
        *(file.name for file in (copied / "model").iterdir() if file.name != "notes.txt"), README,
    }  # fmt: skip
    (tmp_path / "down").mkdir()
    for name, content in files.items():
        (tmp_path / "down" / name).write_bytes(content)
    texts = ["a lovely film", "grim"]
    assert accord.load(tmp_path / "down").predict("mood", texts) == accord.load(copied).predict(
        "mood", texts
    )
    card = ModelCard(files[README].decode())
    assert card.text.lstrip().startswith("# films\n")
    assert 'snapshot_download("films")' in card.text
    assert not (copied / "model" / README).exists()


@pytest.mark.slow
def test_a_card_that_is_there_goes_up_as_it_is(copied, hub, token_file, accord_cli):
    mine = "---\nlicense: mit\n---\n\n# Mine\n"
    (copied / "model" / README).write_text(mine)
    for _ in range(2):  # the second time into a repository that is there
        answer = accord_cli("push", copied, "org/films", "--token-file", token_file)
        assert (answer.code, answer.err) == (0, "")
    assert hub.repositories["org/films"][README].decode() == mine
    assert hub.private == set()
    (copied / "model" / README).write_text("---\n- a\n---\n")
    answer = accord_cli("push", copied, "org/films", "--token-file", token_file)
    assert answer.code == 1
    assert answer.err == (
        "accord: org/films: the hub refuses the front matter of README.md: - no mapping\n"
    )
    assert hub.repositories["org/films"][README].decode() == mine


@pytest.mark.slow
def test_an_ensemble_goes_up_with_its_members(copied, finished, hub, token_file, accord_cli):
    both = copied / "both"
    assert accord_cli("ensemble", copied, finished, "--out", both).code == 0
    assert accord_cli("push", both, "both", "--token-file", token_file).code == 0
    files = hub.repositories[f"{USER}/both"]
    assert {"accord.json", "members/0/accord.json", "members/1/model.safetensors"} <= set(files)
    assert len(files) == 1 + sum(file.is_file() for file in both.rglob("*"))


@pytest.mark.slow
def test_the_hub_s_usual_places_have_the_token(copied, hub, accord_cli, tmp_path, monkeypatch):
    answer = accord_cli("push", copied, "films")
    assert answer.code == 2
    assert answer.err == (
        "accord: not logged in to the hub: 'hf auth login', HF_TOKEN or --token-file says who you"
        " are\n"
    )
    assert hub.repositories == {}
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert accord_cli("push", copied, "films").code == 0
    monkeypatch.delenv("HF_TOKEN")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "token").write_text(TOKEN)
    assert accord_cli("push", copied, "others").code == 0
    assert set(hub.repositories) == {f"{USER}/films", f"{USER}/others"}


def refused(answer, code=1):
    assert (answer.code, answer.out) == (code, "")
    assert answer.err.count("\n") == 1
    assert "Secret" not in answer.err
    return answer.err.removeprefix("accord: ").rstrip("\n")


@pytest.mark.quick("repos/create-404", "commit-403")
@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503])
@pytest.mark.parametrize("path", ["repos/create", "preupload", "commit"])
def test_whatever_the_hub_refuses_is_one_line_without_the_token(
    copied, hub, token_file, accord_cli, path, status, monkeypatch
):
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # before it is asked again
    hub.refusals[path] = (status, f"bad request of Bearer {TOKEN}\nand more")
    said = refused(accord_cli("push", copied, "films", "--token-file", token_file))
    assert said.startswith("films: ")
    assert str(status) in said
    assert hub.commits == []


@pytest.mark.slow
def test_a_token_that_the_hub_does_not_know(copied, hub, token_file, accord_cli):
    for wrong in ("hf_SecretNobody", "another-Secret-of-mine"):
        token_file.write_text(wrong)
        said = refused(accord_cli("push", copied, "films", "--token-file", token_file))
        assert said.startswith("films: the hub does not know the token; 'hf auth login' takes")
        assert "***" in said


def test_a_token_file_that_holds_none(copied, hub, token_file, accord_cli, tmp_path):
    for content in (b"", b"\n", b"two words", b"hf_Secret\nhf_Secret", b"\xff\xfe", "ä".encode()):
        token_file.write_bytes(content)
        said = refused(accord_cli("push", copied, "films", "--token-file", token_file), 2)
        assert said.startswith(f"{token_file}: ")
    said = refused(accord_cli("push", copied, "films", "--token-file", tmp_path / "none"), 2)
    assert said == f"{tmp_path / 'none'}: can't be read: No such file or directory"


def test_no_network(copied, hub, token_file, accord_cli, monkeypatch):
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unheard.getsockname()[1]}"
        monkeypatch.setattr(constants, "ENDPOINT", address)
        said = refused(accord_cli("push", copied, "films", "--token-file", token_file))
    assert said.startswith(f"films: the hub ({address}) can't be reached: ")


def test_a_name_that_the_hub_does_not_allow(copied, hub, token_file, accord_cli):
    for name, near in {
        "my films": "my-films", "a/b/c": "b/c", "films.git": "films", "a--b": "a-b",
        "https://huggingface.co/me/films": "me/films", "-x-": "x", "é": "",
    }.items():  # fmt: skip
        said = refused(accord_cli("push", "--token-file", token_file, "--", copied, name), 2)
        assert f"{name}: is no name of a repository" in said
        assert said.endswith(f"; did you mean '{near}'?" if near else "'_' and '.'")
    assert hub.repositories == {}


@given(st.text(max_size=120) | st.from_regex(r"[\w./ :-]{1,120}", fullmatch=True))
def test_the_nearest_name_is_one_that_is_allowed(name):
    near = nearest_repository(name)
    if near:
        validate_repo_id(near)
    try:
        validate_repo_id(name)
    except HFValidationError:
        return
    assert near == name


def test_a_stranger_s_folder(copied, hub, token_file, accord_cli, tmp_path):
    def push(folder):
        return refused(accord_cli("push", folder, "films", "--token-file", token_file), 2)

    assert "no such folder" in push(tmp_path / "nothing")
    (tmp_path / "stranger").mkdir()
    (tmp_path / "stranger" / "model.safetensors").write_bytes(b"x")
    assert "holds no accord.json" in push(tmp_path / "stranger")
    secret = tmp_path / "secret"
    secret.write_text("mine")
    (copied / "model" / README).symlink_to(secret)
    assert "README.md: is no file of this folder but a link" in push(copied)
    (copied / "model" / README).unlink()
    (copied / "model" / "parts.safetensors").symlink_to(secret)
    assert "parts.safetensors: is no file of this folder but a link" in push(copied)
    assert hub.repositories == {}


@given(st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=8), st.text())
def test_no_text_keeps_a_token(token, text):
    assert token not in scrubbed(f"{text}{token}{text} hf_{token}", token).replace("***", "")
    assert "hf_abc" not in scrubbed("see hf_abc", token)
