"""A training is neither damaged, mixed up, overwritten nor ended by what happens to its files."""

from __future__ import annotations

import os
import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_training import make_pictures, same_bits, small_config, steps_in_checkpoint, weights

from nstlib import FileError, ImageError, SettingError, TrainingConfig, TrainingError, images, train
from nstlib.feedforward import lock, photos, training
from nstlib.feedforward.checkpoint import CHECKPOINT, FORMAT, Checkpoint
from nstlib.feedforward.lock import LOCK, FolderLock
from nstlib.feedforward.photos import Crops, find_photos
from nstlib.feedforward.sources import photo_digest
from nstlib.feedforward.training import NETWORK, Trainer

pytest.importorskip("accelerate")


@pytest.fixture
def config(tmp_path):
    """Settings with pictures of their own, which a test may change."""
    return small_config(make_pictures(tmp_path / "pictures"), tmp_path / "run")


def stop_after(steps: int):
    """Return a callback that ends a training after so many steps."""
    return lambda record: record.step < steps


# --- checkpoints --------------------------------------------------------------------------------------


def test_every_flipped_byte_of_a_checkpoint_is_noticed(config):
    train(config, callback=stop_after(2))
    path = Path(config.output, CHECKPOINT)
    data, random_numbers = path.read_bytes(), random.Random(0)
    places = [0, len(data) - 1, *(random_numbers.randrange(len(data)) for _ in range(98))]
    for place in places:
        changed = bytearray(data)
        changed[place] ^= random_numbers.randrange(1, 256)
        path.write_bytes(changed)
        with pytest.raises(TrainingError, match="is damaged"):
            Checkpoint.load(path.parent)
    path.write_bytes(data)
    assert Checkpoint.load(path.parent).progress.step == 2


@pytest.mark.parametrize(
    "state",
    [[1, 2], torch.zeros(3), {"format": FORMAT}, {"format": "nstlib.training/2", "step": 3}, "text", None, {}],
    ids=str,
)
def test_files_that_are_no_checkpoint_end_in_one_sentence(config, state):
    path = Path(config.output, CHECKPOINT)
    path.parent.mkdir()
    torch.save(state, path)
    with pytest.raises(TrainingError, match="is damaged, of another version, or none; start again with overwrite"):
        train(config, resume=True)


def test_a_cut_an_empty_and_another_file_are_no_checkpoint(config, tmp_path):
    network = train(replace(config, steps=1)).save(tmp_path / "net.safetensors").read_bytes()
    path = Path(config.output, CHECKPOINT)
    whole = path.read_bytes()
    for content in (b"", whole[:-1], whole[: len(whole) // 2], whole + b"\0", network):
        path.write_bytes(content)
        with pytest.raises(TrainingError, match="is damaged"):
            train(config, resume=True)
    path.unlink()
    path.mkdir()
    with pytest.raises((SettingError, FileError)):
        train(config, resume=True)


# --- photos and styles --------------------------------------------------------------------------------


def add_photo(config: TrainingConfig) -> None:
    shutil.copy(Path(config.photos, "0.png"), Path(config.photos, "8.png"))


def remove_photo(config: TrainingConfig) -> None:
    Path(config.photos, "6.png").unlink()


def replace_photo(config: TrainingConfig) -> None:
    path = Path(config.photos, "3.png")
    data = bytearray(path.read_bytes())  # the size stays
    data[-30] ^= 1
    path.write_bytes(data)


def replace_style(config: TrainingConfig) -> None:
    shutil.copy(Path(config.styles[0]).with_name("bars.png"), config.styles[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (add_photo, r"photos added: 1 \('8.png'\)"),
        (remove_photo, r"photos removed: 1 \('6.png'\)"),
        (replace_photo, r"photos replaced: 1 \('3.png'\)"),
        (replace_style, "style 1, 'stripes' is not the same"),
    ],
)
def test_other_photos_and_styles_are_not_mixed_into_a_training(config, change, message):
    train(config, callback=stop_after(3))
    change(config)
    with pytest.raises(TrainingError, match=message):
        train(config, resume=True)
    assert steps_in_checkpoint(Path(config.output)) == 3


def test_another_extractor_and_another_first_network_are_noticed(config, tmp_path, state):
    from nstlib import VGGFeatures

    torch.save(state, tmp_path / "narrow.pth")
    start = train(replace(config, output=str(tmp_path / "first"))).save(tmp_path / "start.safetensors")
    config = replace(config, weights=str(tmp_path / "narrow.pth"), start=str(start))
    train(config, callback=stop_after(3))
    with pytest.raises(TrainingError, match="the extractor 'compact' is not the same"):
        train(replace(config, weights=None), resume=True, features=VGGFeatures(weights="compact"))
    torch.save({name: value + 1 for name, value in state.items()}, tmp_path / "narrow.pth")
    train(replace(config, output=str(tmp_path / "other"), start="", steps=1)).save(start)
    with pytest.raises(TrainingError, match="'start' is not the same; the file of the extractor's weights is not"):
        train(config, resume=True)


def test_a_training_whose_files_have_moved_goes_on_to_the_same_bits(config, tmp_path):
    whole = train(replace(config, output=str(tmp_path / "whole")))
    train(config, callback=stop_after(3))
    shutil.move(tmp_path / "pictures", tmp_path / "elsewhere")
    moved = small_config(tmp_path / "elsewhere", tmp_path / "run")
    assert same_bits(weights(whole), weights(train(moved, resume=True)))


def test_digests_depend_on_the_size_and_on_both_ends(tmp_path):
    path, seen = tmp_path / "photo.jpg", set()
    for data in (b"a" * 100_000, b"b" + b"a" * 99_999, b"a" * 99_999 + b"b", b"a" * 100_001, b"", b"a"):
        path.write_bytes(data)
        seen.add(photo_digest(path))
    assert len(seen) == 6
    assert photo_digest(tmp_path / "none.jpg") == ""


# --- the output folder ----------------------------------------------------------------------------------


def test_a_training_is_overwritten_only_where_that_is_asked_for(config):
    train(config)
    output = Path(config.output)
    before = (output / NETWORK).read_bytes()
    for kept in (NETWORK, CHECKPOINT):
        with pytest.raises(SettingError, match=f"holds a training already .{kept}.; choose another output"):
            train(config)
        (output / kept).unlink()
    (output / NETWORK).write_bytes(before)
    with pytest.raises(RuntimeError, match="ended"):
        train(replace(config, seed=1), overwrite=True, callback=end_with_an_error)
    assert (output / NETWORK).read_bytes() == before  # what was there survives a failure
    train(replace(config, seed=1), overwrite=True)
    assert (output / NETWORK).read_bytes() != before


def end_with_an_error(record: object) -> None:
    raise RuntimeError("ended")


def test_a_training_can_be_resumed_from_its_very_start(config, tmp_path, monkeypatch):
    """The first checkpoint is written before the first step; one of an earlier training is never continued."""
    whole = train(replace(config, output=str(tmp_path / "whole")))
    train(replace(config, seed=5))
    monkeypatch.setattr(Trainer, "step", end_with_an_error)
    monkeypatch.setattr(Trainer, "_prepare_adam", end_with_an_error)
    with pytest.raises(TypeError):
        train(config, overwrite=True)
    monkeypatch.undo()
    assert steps_in_checkpoint(Path(config.output)) == 0
    assert same_bits(weights(whole), weights(train(config, resume=True)))


@pytest.mark.parametrize("name", [NETWORK, "pictures", CHECKPOINT, ""])
def test_an_output_that_cannot_be_written_is_noticed_before_the_first_step(config, monkeypatch, name):
    monkeypatch.setattr(Trainer, "step", lambda *_: pytest.fail("a step was done"))
    output = Path(config.output)
    if name in (NETWORK, CHECKPOINT):
        (output / name).mkdir(parents=True)
    else:
        output.mkdir() if name else None
        (output / name).write_text("a file where a folder is needed")
    with pytest.raises((FileError, ImageError), match="folder|cannot be written"):
        train(replace(config, picture_every=2), overwrite=True)


def lock_in_another_process(folder: Path) -> str:
    """Try to lock a folder in a forked process; return the beginning of its answer."""
    child = os.fork()
    if child == 0:
        lock._held.clear()  # this process knows nothing of its parent's lock
        try:
            FolderLock(folder).__enter__()
        except TrainingError as error:
            os._exit(3 if f"another training (process {os.getppid()})" in str(error) else 4)
        os._exit(5)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return {3: "another training", 4: "another message", 5: "locked"}[status]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_two_trainings_in_one_folder_are_refused(config, tmp_path):
    output = Path(config.output)
    with FolderLock(output):
        with pytest.raises(TrainingError, match=f"another training .process {os.getpid()}. writes to"):
            train(config)
        assert lock_in_another_process(output) == "another training"
    assert not output.exists()  # made for the lock, and empty
    output.mkdir()
    (output / LOCK).write_text("1\n")  # of a training that was killed; process 1 always lives
    train(config)
    assert not (output / LOCK).exists()


def test_sheets_are_not_trained_on(config, tmp_path):
    """The output folder may lie within the folder of photos; the sheets do not become photos of the next run."""
    config = replace(config, output=config.photos, picture_every=1)
    train(config, callback=stop_after(3))
    assert train(config, resume=True).card["config"]["photos"] == 7
    with pytest.raises(SettingError, match="among the photos"):
        train(replace(config, output=str(tmp_path), photos=str(tmp_path / "pictures" / "photos")))


def test_resume_and_overwrite_exclude_each_other(config):
    with pytest.raises(SettingError, match="choose one of them"):
        train(config, resume=True, overwrite=True)


def test_what_a_killed_training_was_writing_is_removed(config):
    output = Path(config.output)
    output.mkdir()
    (output / f".{CHECKPOINT}.abc").write_bytes(b"half")
    train(config)
    assert sorted(path.name for path in output.iterdir()) == [CHECKPOINT, NETWORK]


# --- broken pictures ------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [RuntimeError("AVIF"), MemoryError()])
def test_a_picture_that_breaks_the_decoder_is_left_out_also_when_it_sorts_first(config, monkeypatch, error):
    load = images.load

    def load_or_fail(source, *size):
        if Path(source).name == "0.png":
            raise error
        return load(source, *size)

    monkeypatch.setattr(photos, "load", load_or_fail)
    net = train(replace(config, steps=8, picture_every=4))
    assert (net.card["broken"], net.card["broken_samples"]) == (1, 0)


def test_broken_samples_are_left_out_and_counted(config, tmp_path):
    broken, wide = tmp_path / "broken.jpg", tmp_path / "wide.png"
    broken.write_text("no picture")
    images.save(torch.rand(1, 3, 16, 2000), wide)
    samples = (str(broken), str(wide), str(Path(config.photos, "1.png")))
    net = train(replace(config, samples=samples, picture_every=3))
    assert net.card["broken_samples"] == 1
    with images.Image.open(Path(config.output, "pictures", "000003.jpg")) as sheet:
        assert sheet.width < 65_000
    assert train(replace(config, samples=samples[:1]), overwrite=True).card["broken_samples"] == 1


@pytest.mark.parametrize("workers", [0, 1])
def test_without_a_usable_photo_there_is_one_sentence(config, workers, monkeypatch):
    for path in find_photos(config.photos)[:-1]:
        path.write_bytes(path.read_bytes()[:200])
    config = replace(config, workers=workers)
    assert train(config).card["broken"] == 6
    monkeypatch.setattr(training, "read_samples", lambda *_: ([torch.rand(1, 3, 40, 40)], 0))
    Path(config.photos, "6.png").write_bytes(b"broken, too")
    with pytest.raises(ImageError) as raised:
        train(config, overwrite=True)
    assert str(raised.value) == "none of the photos can be read; look at the folder."
    monkeypatch.undo()
    with pytest.raises(ImageError, match="none of the photos can be read"):
        train(config, overwrite=True)


def test_a_photo_that_disappears_is_replaced_by_the_next_and_resuming_gives_the_same_bits(config, tmp_path):
    """Photo 3 goes after step 5, photo 4 breaks; from there on all later photos keep their places."""
    config = replace(config, steps=16)

    def spoil(record):
        if record.step == 5:
            Path(config.photos, "3.png").unlink()
            Path(config.photos, "4.png").write_bytes(b"broken")
        return record.step < until

    until, pictures = 99, tmp_path / "pictures"
    shutil.copytree(pictures, tmp_path / "spare")
    whole = train(replace(config, output=str(tmp_path / "whole")), callback=spoil)
    assert whole.card["broken"] == 2
    shutil.rmtree(pictures)
    (tmp_path / "spare").rename(pictures)
    until = 11
    train(config, callback=spoil)
    assert same_bits(weights(whole), weights(train(config, resume=True)))
    images.save(torch.rand(1, 3, 40, 40), Path(config.photos, "4.png"))  # readable again, and another
    with pytest.raises(TrainingError, match=r"photos replaced: 1 \('4.png'\)"):
        train(config, resume=True)


# --- the recipe of pytorch/examples ---------------------------------------------------------------------


def test_one_setting_is_the_published_recipe_of_pytorch_examples(tmp_path, monkeypatch):
    monkeypatch.setenv("NST_PROFILE", "cpu")
    (tmp_path / "c.toml").write_text('recipe = "pytorch_examples"\nseed = 1\n')
    for config in (
        TrainingConfig.for_profile(recipe="pytorch_examples", seed=1),
        TrainingConfig.from_dict({"recipe": "pytorch_examples", "seed": 1}),
        TrainingConfig.from_file(tmp_path / "c.toml"),
    ):
        assert (config.preset, config.loss_preset().arch, config.weights) == ("pytorch_examples", "vgg16", "imagenet")
        assert (config.batch, config.epochs, config.size, config.crops) == (4, 2, 256, "center")
        assert (config.learning_rate, config.decay) == (1e-3, "none")
        assert (config.identity_steps, config.outlier_weight) == (0, 0)
        assert (config.pixels, config.style_size, config.width, config.blocks, config.seed) == ("byte", 0, 32, 5, 1)
        assert config.with_steps_for(82_783, 4).steps == 2 * 20_696
    with pytest.raises(SettingError, match="did you mean 'pytorch_examples'"):
        TrainingConfig.from_dict({"recipe": "pytorch_example"})


def test_the_recipe_trains_the_published_network_on_center_crops(config, state):
    """In small: no tanh, photos in order and not mirrored, the style at its own size, two epochs."""
    from nstlib import VGGFeatures

    small = {"width": 4, "blocks": 1, "size": 32, "batch": 2, "precision": "float32", "device": "cpu"}
    files = {"photos": config.photos, "styles": config.styles, "output": config.output}
    layers = {"content_layers": ["relu2_2"], "style_layers": ["relu1_2"]}
    recipe = TrainingConfig.from_dict({"recipe": "pytorch_examples", **small, **files, **layers})
    net = train(recipe, features=VGGFeatures(weights=state))
    assert net.card["steps"] == net.card["config"]["steps"] == 2 * 4  # seven photos, two at a time
    assert (net.pixels, net.card["config"]["arch"]) == ("byte", "vgg16")
    crops = Crops(find_photos(config.photos), 32, 0.5, 1, seed=0, crops="center")
    for n in (0, 5, 7 + 2):
        photo = images.load(crops.files[n % 7])  # (1, 3, h, 60), higher than 32 and less than wide
        h = photo.shape[2]
        left = round((60 - h) / 2)
        middle = images.resize(photo[:, :, :, left : left + h], (32, 32))
        assert torch.equal(crops[n][0], middle[0])


def test_a_training_that_fails_early_leaves_no_folders(config, tmp_path):
    """The trial of the folder of sheets, and folders around the output, stayed."""
    output = tmp_path / "new" / "newer" / "run"
    with pytest.raises(ImageError, match="does not exist"):
        train(replace(config, output=str(output), styles=("missing.jpg",), picture_every=2))
    assert not (tmp_path / "new").exists()
    with pytest.raises(FileError, match="cannot be written"):
        train(replace(config, output=str(tmp_path / "new" / ("a" * 300))))
    assert not (tmp_path / "new").exists()


def test_resuming_with_other_settings_says_what_to_do(config):
    train(config, callback=stop_after(1))
    with pytest.raises(SettingError, match="steps = 6, not 20; resume with the same, or begin .* as 'start'"):
        train(replace(config, steps=20), resume=True)
