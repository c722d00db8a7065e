"""Stage pretrained: what params.yaml names is fetched, and nothing else is left."""

from types import SimpleNamespace

from focused_attention.stages import pretrained


def test_what_is_wanted_is_fetched_and_what_is_not_goes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "pretrained"
    (folder / "old").mkdir(parents=True)
    (folder / "old" / "model.bin").write_bytes(b"x")
    (folder / "left.partial").write_bytes(b"x")
    params = SimpleNamespace(listen=SimpleNamespace(models=["tiny.en", "base"]))
    monkeypatch.setattr(pretrained, "load", lambda: params)
    fetched = []

    def fetch(name, into):
        fetched.append(name)
        (into / name).mkdir()

    monkeypatch.setattr(pretrained.checkpoints, "fetch", fetch)
    pretrained.main([])
    assert fetched == ["tiny.en", "base"]
    assert sorted(path.name for path in folder.iterdir()) == ["base", "tiny.en"]
