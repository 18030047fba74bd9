"""The page to try a service: it asks what there is, and nothing of another machine."""

import re


def test_it_needs_no_other_machine_and_asks_by_paths_that_are_there(serve):
    client = serve()
    page = client.ask("GET", "/")
    assert page.status == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["Content-Security-Policy".lower()]
    assert not re.findall(r"(?:src|href)=|https?://|@import|url\(", page.value)
    paths = client.ask("GET", "/openapi.json").value["paths"]
    for path in re.findall(r'"(v1/\w+)"', page.value):
        assert f"/{path}" in paths


def test_every_path_that_is_described_answers(serve):
    client = serve()
    described = client.ask("GET", "/openapi.json").value
    assert described["openapi"] == "3.1.0"
    for path, methods in described["paths"].items():
        for method, what in methods.items():
            body = {"texts": ["a"]} if "requestBody" in what else None
            reply = client.ask(method.upper(), path.replace("{task}", "mood"), body)
            assert str(reply.status) in what["responses"], (path, reply)


def test_the_description_says_which_paths_ask_for_the_token(serve):
    client = serve(token="secret")
    described = client.ask("GET", "/openapi.json", headers={"authorization": "Bearer secret"}).value
    for path, methods in described["paths"].items():
        for method, what in methods.items():
            body = {"texts": ["a"]} if "requestBody" in what else None
            asks = client.ask(method.upper(), path.replace("{task}", "mood"), body).status == 401
            assert asks == ("401" in what["responses"]), path
            assert asks == (what.get("security", described["security"]) == [{"token": []}]), path
