"""A model's upload to the hub: its files and its card, in one commit, with no token in any line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

from accord.errors import AccordError, ModelError, UsageError
from accord.model.saved import MEMBERS
from accord.model.saved_ensemble import MODEL_FILES
from accord.publishing.readme import README
from accord.untrusted import read_text

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_UPLOADED = (*MODEL_FILES, README, "LICENSE*", "LICENCE*", "NOTICE*")
_TOKEN = re.compile(r"hf_\w+")
_LONGEST = 96  # letters of a repository's name


@dataclass(frozen=True)
class Pushed:
    """What was uploaded.

    Attributes:
        repository: its whole name on the hub.
        url: of the commit.
        files: names of the files.
        left_out: of the folder's entries that are no part of a model.
    """

    repository: str
    url: str
    files: tuple[str, ...]
    left_out: tuple[str, ...]


def check_repository(name: str) -> None:
    """Check a repository's name by the hub's rules.

    Raises:
        UsageError: with the nearest name that is allowed.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(name)
    except HFValidationError:
        near = nearest_repository(name)
        hint = f"; did you mean '{near}'?" if near else ""
        raise UsageError(
            f"{name}: is no name of a repository, NAME or OWNER/NAME of letters, digits, '-', '_'"
            f" and '.'{hint}"
        ) from None


def nearest_repository(name: str) -> str:
    r"""Return the nearest name that the hub allows; '' where nothing is left.

    Example:
        >>> nearest_repository("https://huggingface.co/me/my model!")
        'me/my-model'
    """
    path = re.sub(r"^\w+://[^/]*/", "", name.strip())
    parts = [re.sub(r"[^A-Za-z0-9._-]+", "-", part) for part in path.split("/")]
    parts = [re.sub(r"([-.])[-.]+", r"\1", part).strip("-.") for part in parts]
    near = "/".join([part for part in parts if part][-2:])[:_LONGEST]
    return re.sub(r"([-./]|\.git)+$", "", near)


def find_token(file: Path | None) -> str:
    """Return the token by which the hub knows a user.

    Args:
        file: that holds it; None takes it from where the hub's own commands do: HF_TOKEN, or what
            `hf auth login` left.

    Raises:
        UsageError: if there is none.
    """
    if file is None:
        from huggingface_hub import get_token

        token = get_token()
        if not token:
            raise UsageError(
                "not logged in to the hub: 'hf auth login', HF_TOKEN or --token-file says who you"
                " are"
            )
        return token
    try:
        token = read_text(file).strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is no text"
        raise UsageError(f"{file}: can't be read: {reason}") from None
    if not re.fullmatch(r"[!-~]+", token):
        raise UsageError(f"{file}: should hold a token of the hub and nothing else")
    return token


def push(folder: Path, card: str | None, repository: str, *, private: bool, token: str) -> Pushed:
    """Upload a model in one commit, to a repository that is made where it is missing.

    Args:
        folder: of the model.
        card: its text, where the folder has none.
        repository: NAME, of the user's own, or OWNER/NAME.
        private: whether a new repository is seen by its owner alone.
        token: says who the user is.

    Raises:
        UsageError: if the name isn't allowed, or the folder has a link in it.
        AccordError: if the hub can't be reached or refuses; without the token.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.utils import disable_progress_bars, logging  # type: ignore[attr-defined]

    check_repository(repository)
    files, left_out = _files(folder)
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    disable_progress_bars()
    try:
        api = HfApi(token=token, library_name="accord")
        name, url = _commit(api, folder, files, card, repository, private)
    except Exception as error:  # the hub's errors, and those of its HTTP library, share no base
        raise AccordError(scrubbed(f"{repository}: {_reason(error)}", token)) from None
    names = sorted({*map(str, files), *([README] if card is not None else [])})
    return Pushed(name, url, tuple(names), tuple(left_out))


def _commit(
    api: HfApi,
    folder: Path,
    files: Sequence[Path],
    card: str | None,
    repository: str,
    private: bool,
) -> tuple[str, str]:
    """Make the repository and its commit; return its whole name and the commit's address."""
    from huggingface_hub import CommitOperationAdd

    made = api.create_repo(repository, private=private or None, exist_ok=True)
    contents: dict[str, Path | bytes] = {file.as_posix(): folder / file for file in files}
    if card is not None:
        contents[README] = card.encode()
    operations = [
        CommitOperationAdd(path_in_repo=name, path_or_fileobj=content)
        for name, content in contents.items()
    ]
    # One commit, not upload_folder's several: nobody meets half a model.
    commit = api.create_commit(made.repo_id, operations, commit_message="Upload a model of Accord")
    return made.repo_id, commit.commit_url


def _files(folder: Path) -> tuple[list[Path], list[str]]:
    """Return what of a model folder is uploaded, relative to it, and the names of all else.

    Raises:
        ModelError: if it has a link in it: a stranger's folder could point at any file.
    """
    files, left_out = [], []
    for path in _entries(folder):
        inner = path.relative_to(folder)
        if not any(fnmatch(path.name, pattern) for pattern in _UPLOADED):
            left_out.append(inner.as_posix())
        elif path.is_symlink() or not path.is_file():
            raise ModelError(
                f"{path}: is no file of this folder but a link; 'cp -rL' makes a folder without"
            )
        else:
            files.append(inner)
    return files, left_out


def _entries(folder: Path) -> Iterator[Path]:
    """Yield the entries of a model folder and of its members'."""
    for path in sorted(folder.iterdir()):
        if path.name == MEMBERS and path.is_dir():
            for member in sorted(path.iterdir()):
                yield from sorted(member.iterdir()) if member.is_dir() else [member]
        else:
            yield path


def _reason(error: BaseException) -> str:
    """Say in one line why the hub didn't take a model, by what the library's own errors came of."""
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE keeps the hub from being asked"
    if isinstance(error, HfHubHTTPError):
        status = int(error.response.status_code)
        message = error.server_message or (lines[0] if lines else "")
        reason = f"{status}: {message}" if message else f"{status}"
        return f"{_STATUS.get(status, 'the hub refused')} ({reason})"
    if isinstance(error, ValueError) and "metadata" in str(error):
        return f"the hub refuses the front matter of {README}: {' '.join(lines[1:] or lines)}"
    if any(re.search("Transport|Connect|Timeout", kind.__name__) for kind in type(error).__mro__):
        message = lines[0] if lines else "no answer"
        return f"the hub ({constants.ENDPOINT}) can't be reached: {message}"
    if error.__cause__ is not None:
        return _reason(error.__cause__)
    return f"{type(error).__name__}: {lines[0] if lines else 'no reason given'}"


_STATUS = {
    401: "the hub does not know the token; 'hf auth login' takes a new one",
    403: "the token gives no right to write there",
    404: "no such owner or repository, or none that the token may see",
}


def scrubbed(text: str, token: str) -> str:
    """Return a text without a token, and without anything that looks like one.

    Example:
        >>> scrubbed("Illegal header value b'Bearer s3cret': hf_abc", "s3cret")
        "Illegal header value b'Bearer ***': ***"
    """
    return _TOKEN.sub("***", text.replace(token, "***"))
