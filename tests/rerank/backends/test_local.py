import importlib.util
import json
import math
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.rerank.backends.small_models import FAMILIES
from tiercel.errors import TiercelError
from tiercel.rerank.backends import Picture, Request, Turn
from tiercel.rerank.backends.local import LocalBackend
from tiercel.rerank.backends.local_running import Running
from tiercel.rerank.backends.local_sharing import Prefix

SHARING = [name for name in FAMILIES if name != "llava_onevision"]
"""The families that can go on from a prefix; LLaVA-OneVision prepares a picture otherwise when others follow."""
numbers = np.random.default_rng(4)


def picture(height: int = 40, width: int = 40) -> Picture:
    """Four fields of different colours."""
    fields = numbers.integers(0, 255, (2, 2, 3), dtype=np.uint8)
    return Picture(fields.repeat(height // 2, 0).repeat(width // 2, 1))


PHOTO, A, B = picture(30, 80), picture(), picture(40, 60)


def question(
    *candidates: Picture, more: int = 0, choices: tuple[str, ...] = ("Yes", "No"), photo: Picture = PHOTO
) -> Request:
    parts = [part for candidate in candidates for part in (" and" + " so" * more, candidate)]
    asked = Turn("user", ("Compare.", photo, *parts, " Which?"))
    return Request((Turn("system", ("Be brief.",)), asked), choices, max_tokens=5, prefix_parts=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Callable[[str], Path]:
    """Gives the folder of a small model of a family."""
    root = tmp_path_factory.mktemp("models")

    def made(family: str):
        if not (root / family).exists():
            FAMILIES[family](root / family)
        return root / family

    return made


@pytest.fixture
def open_model(folder, monkeypatch) -> Callable[..., LocalBackend]:
    """Loads a small model of a family."""

    def opened(family: str, **arguments) -> LocalBackend:
        if family == "smolvlm":
            # Writes out the number of a film's frames, so its absence matters to no question about pictures.
            monkeypatch.setattr("transformers.models.smolvlm.processing_smolvlm.num2words", str)
        return LocalBackend(folder(family), device="cpu", **{"precision": "fp32", **arguments})

    return opened


def plain(backend: LocalBackend, request: Request, behind: str = "") -> dict[str, float]:
    """Probabilities of all next tokens from one plain pass of the model, by the token as the vocabulary has it."""
    from PIL import Image

    loaded = backend._loaded
    messages = [
        {"role": turn.role, "content": [{"type": "text", "text": p} if isinstance(p, str) else {"type": "image"}
         for p in turn.parts]} for turn in request.turns
    ]  # fmt: skip
    text = loaded.processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True) + behind
    images = [Image.fromarray(each.pixels) for each in request.pictures]
    inputs = loaded.processor(text=[text], images=[images], return_tensors="pt")
    with torch.no_grad():
        chances = loaded.model(**inputs).logits[0, -1].softmax(-1).tolist()
    return dict(zip(loaded.processor.tokenizer.convert_ids_to_tokens(range(len(chances))), chances, strict=True))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_pictures_and_their_order_matter(open_model, family) -> None:
    backend = open_model(family)
    answers = backend.answer([question(A, B), question(B, A), question(A, A), question(A, B)])
    found = [answer.log_probabilities["Yes"] for answer in answers]
    assert abs(found[0] - found[1]) > 1e-3, "swapped"
    assert abs(found[0] - found[2]) > 1e-3, "another picture"
    assert found[0] == pytest.approx(found[3], abs=1e-5)
    assert all(answer.tokens_in > 30 and answer.seconds > 0 and not answer.trouble for answer in answers)


@pytest.mark.parametrize("family", FAMILIES)
def test_probabilities_are_those_of_a_plain_pass(open_model, family) -> None:
    square = [picture(28, 28) for _ in range(2)]
    request = question(square[0], photo=square[1], choices=("A", "B"))
    backend = open_model(family, share_prefix=False)
    found = backend.answer([request])[0].log_probabilities
    # In these vocabularies neither letter is one token with the space before it.
    first, behind = plain(backend, request), plain(backend, request, " ")
    for word in ("A", "B"):
        written = (word, word.lower())
        expected = sum(first[form] + first["Ġ"] * behind[form] for form in written)
        assert found[word] == pytest.approx(math.log(expected), abs=1e-4)


def test_a_word_that_begins_another_is_told_from_it(open_model) -> None:
    backend = open_model("qwen25", share_prefix=False)
    request = question(A, choices=("1", "10"))
    found = backend.answer([request])[0].log_probabilities
    first = plain(backend, request)
    assert "Ġ1" in first and "10" not in first
    one = first["1"] + first["Ġ1"]
    ten = first["1"] * plain(backend, request, "1")["0"] + first["Ġ1"] * plain(backend, request, " 1")["0"]
    assert found["10"] == pytest.approx(math.log(ten), abs=1e-4)
    assert found["1"] == pytest.approx(math.log(one - ten), abs=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_answers_do_not_depend_on_what_is_asked_beside(open_model, family) -> None:
    requests = [question(A, B, more=length) for length in (0, 9, 3, 14)]
    texts = [question(A, B, more=length, choices=()) for length in (0, 9, 3, 14)]
    together, alone = (open_model(family, batch=size, share_prefix=False) for size in (4, 1))
    for one, other in zip(together.answer(requests), alone.answer(requests), strict=True):
        assert one.log_probabilities == pytest.approx(other.log_probabilities, abs=1e-5)
        assert one.tokens_in == other.tokens_in
    assert together.answer(texts) == alone.answer(texts)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_shared_prefix_changes_no_answer(open_model, family) -> None:
    sharing, whole = open_model(family, batch=3), open_model(family, share_prefix=False)
    for choices in (("Yes", "No"), (), ("1", "10")):
        requests = [question(A, B, more=length, choices=choices) for length in (2, 0, 9, 5)]
        for one, other in zip(sharing.answer(requests), whole.answer(requests), strict=True):
            assert one.text == other.text
            assert one.tokens_in == other.tokens_in
            assert choices == () or one.log_probabilities == pytest.approx(other.log_probabilities, abs=1e-5)
    able = family in SHARING
    assert sharing._sharing.works == {"step": able, "text": able}
    assert whole._sharing.latest is None


def test_a_prefix_is_computed_once_for_all_rounds_about_a_photo(open_model, monkeypatch, record_property) -> None:
    backend, seen = open_model("qwen25"), []
    backend.answer([question(A), question(B)])
    forward = Running.forward

    def watched(self, arguments):
        seen.append(arguments["input_ids"].shape)
        return forward(self, arguments)

    monkeypatch.setattr(Running, "forward", watched)
    length = len(backend._sharing.latest[1])
    answer = backend.answer([question(B, A)])[0]
    assert seen == [(1, answer.tokens_in - length)], "even a single question goes on from the prefix"
    backend.answer([question(A, photo=B), question(B, photo=B)])
    assert (1, length) not in seen[1:] and len(seen) == 3, "another photo is another prefix, computed once"
    # Not asserted, because machines are busy: how long a round takes with the prefix and without.
    for shared in (True, False):
        timed = open_model("qwen25", share_prefix=shared)
        long = [question(A, more=length, photo=picture(56, 56)) for length in range(8)]
        timed.answer(long)
        started = time.perf_counter()
        timed.answer(long)
        record_property(f"seconds_{'shared' if shared else 'whole'}", time.perf_counter() - started)


def test_a_model_that_cannot_share_is_found_out_and_answers_all_the_same(open_model, monkeypatch) -> None:
    requests = [question(A, more=length) for length in (0, 4)]
    expected = open_model("llava", share_prefix=False).answer(requests)
    right = Prefix.arguments

    def wrong(self, inputs, running, generating):
        arguments, positions = right(self, inputs, running, generating)
        return arguments, {key: value * 0 for key, value in positions.items()}

    def broken(self, inputs, running, generating):
        raise TypeError("this model takes no prefix")

    for fault in (wrong, broken):
        monkeypatch.setattr(Prefix, "arguments", fault)
        backend = open_model("llava")
        for one, other in zip(backend.answer(requests), expected, strict=True):
            assert one.log_probabilities == pytest.approx(other.log_probabilities, abs=1e-5)
        assert backend._sharing.works == {"step": False}


def test_a_model_that_says_it_shares_nothing_is_believed(folder, tmp_path) -> None:
    copied = tmp_path / "model"
    shutil.copytree(folder("llava"), copied)
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps({**config, "shares_prefix": False}))
    backend = LocalBackend(copied, device="cpu", precision="fp32")
    assert all(answer.log_probabilities for answer in backend.answer([question(A), question(B)]))
    assert backend._sharing.works == {} and backend._sharing.latest is None


def test_a_picture_that_would_be_cropped_is_made_square_in_grey(open_model) -> None:
    backend = open_model("llava")
    wide = picture(20, 80)
    image = np.asarray(backend._running.prompting.image(wide))
    assert image.shape == (80, 80, 3)
    assert np.array_equal(image[30:50], wide.pixels)
    assert (image[:30] == 127).all() and (image[50:] == 127).all()
    edge = wide.pixels.copy()
    edge[:, :10] = 255 - edge[:, :10]
    one, other = backend.answer([question(wide), question(Picture(edge))])
    assert abs(one.log_probabilities["Yes"] - other.log_probabilities["Yes"]) > 1e-4, "the left edge is seen"
    assert backend._running.prompting.image(A).size == (40, 40)


def test_a_picture_that_is_not_cropped_is_left_as_it_is(open_model) -> None:
    assert open_model("qwen25")._running.prompting.image(picture(20, 80)).size == (80, 20)


def test_texts_are_what_the_model_writes_and_stop_where_it_stops(open_model) -> None:
    backend = open_model("qwen3")
    answer = backend.answer([question(A, choices=())])[0]
    written = backend._running.generate(backend._running.whole([question(A, choices=())]), 5)[0][0]
    assert answer.tokens_out == len(written) == 5
    assert answer.text == backend._loaded.processor.tokenizer.decode(written).strip()
    assert answer.log_probabilities is None
    # Now the model ends its turn with what was its third token.
    stopping = open_model("qwen3")
    stopping._loaded.model.generation_config.eos_token_id = written[2]
    stop = written.index(written[2]) + 1
    assert stopping.answer([question(A, choices=())])[0].tokens_out == stop < 5


def test_decoding_is_greedy_whatever_the_model_asks_for(open_model) -> None:
    request = question(A, choices=())
    expected = open_model("qwen25").answer([request])
    asking = open_model("qwen25")
    config = asking._loaded.model.generation_config
    config.do_sample, config.temperature, config.repetition_penalty = True, 5.0, 3.0
    assert asking.answer([request]) == expected
    assert asking.answer([request]) == expected


def test_questions_of_all_kinds_are_answered_in_their_order(open_model) -> None:
    backend = open_model("llava", batch=2)
    mixed = [
        question(A),
        question(A, B, choices=()),
        question(A, B),
        Request((Turn("user", ("Yes or no?",)),), ("Yes", "No")),
        question(B, choices=("1", "2")),
        question(B),
    ]
    for one, request in zip(backend.answer(mixed), mixed, strict=True):
        other = backend.answer([request])[0]
        assert one.text == other.text
        assert (one.log_probabilities or {}) == pytest.approx(other.log_probabilities or {}, abs=1e-5)


def test_a_question_that_is_too_long_is_told_with_both_numbers(open_model) -> None:
    for share in (True, False):
        backend = open_model("llava", share_prefix=share)
        short, long, other = backend.answer([question(A), question(A, more=500), question(B)])
        assert int(re.search(r"takes (\d+) tokens", long.trouble)[1]) > 700
        assert "takes 700 at most" in long.trouble
        assert long.log_probabilities is None
        assert short.log_probabilities and other.log_probabilities


def test_a_question_that_the_template_refuses_is_told(folder, tmp_path) -> None:
    copied = tmp_path / "model"
    shutil.copytree(folder("llava"), copied)
    refusal = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system turns') }}{% endif %}"
    template = copied / "chat_template.jinja"
    template.write_text(refusal + template.read_text())
    backend = LocalBackend(copied, device="cpu")
    plain_question = Request((Turn("user", ("Look: ", A)),), ("Yes", "No"))
    refused, answered = backend.answer([question(A), plain_question])
    assert "no system turns" in refused.trouble
    assert answered.log_probabilities


def test_text_that_looks_like_a_picture_is_told(open_model) -> None:
    backend = open_model("llava")
    asked = Request((Turn("user", ("What is <image>? ", A)),), ("Yes", "No"))
    assert "processor refuses" in backend.answer([asked])[0].trouble


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA"), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_batches_are_halved_when_memory_runs_out(open_model, monkeypatch, error) -> None:
    requests = [question(A, more=length) for length in range(5)]
    expected = open_model("llava").answer(requests)
    backend, step = open_model("llava"), Running.next_token

    def limited(self, batch, behind):
        if len(behind) > 2:
            raise error
        return step(self, batch, behind)

    monkeypatch.setattr(Running, "next_token", limited)
    for one, other in zip(backend.answer(requests), expected, strict=True):
        assert one.log_probabilities == pytest.approx(other.log_probabilities, abs=1e-5)
    assert backend.batch == 2


def test_a_single_question_for_which_there_is_no_memory_is_told(open_model, monkeypatch) -> None:
    def full(self, batch, max_tokens, with_logits=False):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Running, "generate", full)
    written, chosen = open_model("llava").answer([question(A, choices=()), question(A)])
    assert "not enough memory on cpu" in written.trouble
    assert chosen.log_probabilities


def test_what_is_not_about_memory_is_raised(open_model, monkeypatch) -> None:
    def mistaken(self, batch, behind):
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(Running, "next_token", mistaken)
    with pytest.raises(RuntimeError, match="shapes"):
        open_model("llava", share_prefix=False).answer([question(A)])


def test_settings_follow_the_weights_and_the_template_not_the_folder(folder, tmp_path) -> None:
    def settings(path, **arguments):
        return LocalBackend(path, device="cpu", **arguments).settings

    copied = tmp_path / "elsewhere"
    shutil.copytree(folder("llava"), copied)
    before = settings(folder("llava"))
    assert settings(copied, batch=2, share_prefix=False) == before
    assert json.loads(json.dumps(before)) == before
    assert settings(copied, precision="fp32") != before
    template = copied / "chat_template.jinja"
    template.write_text(template.read_text() + " ")
    assert settings(copied)["template"] != before["template"]
    shutil.copy(folder("llava") / "chat_template.jinja", template)
    weights = bytearray((copied / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (copied / "model.safetensors").write_bytes(weights)
    assert settings(copied)["revision"] != before["revision"]


def test_one_picture_a_question_is_a_matter_of_the_model_or_the_caller(open_model) -> None:
    assert not open_model("llava").single_image
    assert open_model("llava", single_image=True).single_image


def test_a_model_that_is_not_there_is_told(tmp_path) -> None:
    with pytest.raises(TiercelError, match=r"missing' is no folder and no id"):
        LocalBackend(tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(TiercelError, match="empty' cannot be loaded"):
        LocalBackend(tmp_path / "empty")


def test_a_model_without_pictures_is_told(tmp_path) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=32, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2
    )
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    with pytest.raises(TiercelError, match="type llama, which takes no pictures"):
        LocalBackend(tmp_path)


def test_a_model_without_a_template_or_with_missing_weights_is_told(folder, tmp_path) -> None:
    from safetensors.torch import load_file, save_file

    copied = tmp_path / "model"
    shutil.copytree(folder("llava"), copied)
    weights = load_file(copied / "model.safetensors")
    gone = next(name for name in weights if "projector" in name)
    save_file(
        {name: value for name, value in weights.items() if name != gone}, copied / "model.safetensors", {"format": "pt"}
    )
    with pytest.raises(TiercelError, match="lack 1 of its parameters"):
        LocalBackend(copied, device="cpu")
    (copied / "model.safetensors").unlink()
    with pytest.raises(TiercelError, match="weights of model"):
        LocalBackend(copied, device="cpu")
    (copied / "chat_template.jinja").unlink()
    with pytest.raises(TiercelError, match="has no chat template"):
        LocalBackend(copied, device="cpu")


def test_arguments_that_cannot_be_are_told(open_model, monkeypatch) -> None:
    for arguments, told in (
        ({"precision": "fp8"}, "precision 'fp8' is none of"),
        ({"quantisation": "2bit"}, "neither 8bit nor 4bit"),
        ({"batch": 0}, "batch must be 1 or more"),
    ):
        with pytest.raises(TiercelError, match=told):
            open_model("llava", **arguments)
    with pytest.raises(TiercelError, match="device 'gpu' is none that torch knows"):
        LocalBackend(open_model("llava").name, device="gpu")
    present = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "bitsandbytes" else present(name))
    with pytest.raises(TiercelError, match="pip install bitsandbytes"):
        open_model("llava", quantisation="4bit")


def test_a_processor_that_needs_a_package_says_which(folder, monkeypatch) -> None:
    monkeypatch.setattr("transformers.models.smolvlm.processing_smolvlm.num2words", None)
    with pytest.raises(TiercelError, match="num2words"):
        LocalBackend(folder("smolvlm"), device="cpu")


def test_half_precision_gives_nearly_the_same(open_model) -> None:
    exact = open_model("llava").answer([question(A)])[0]
    half = open_model("llava", precision="bf16").answer([question(A)])[0]
    assert half.log_probabilities == pytest.approx(exact.log_probabilities, abs=0.3)
    assert half.log_probabilities != exact.log_probabilities
