"""BLEU in scripts with spaces between words and in scripts without."""

import pytest

from corpusmill.model.evaluation.bleu import bleu_for


@pytest.mark.parametrize(
    ("references", "words"),
    [
        (["今日は天気がいいですね。", "大阪大学附属図書館へ行く"], "char"),
        (["วันนี้อากาศดีมาก"], "char"),
        (["ມື້ນີ້ອາກາດດີ"], "char"),
        (["ថ្ងៃនេះអាកាសធាតុល្អ"], "char"),
        (["ယနေ့ရာသီဥတုသာယာသည်"], "char"),
        (["དེ་རིང་གནམ་གཤིས་ཡག་པོ་འདུག"], "char"),
        (
            [
                "今天天气很好，我们去iPhone商店。",
                "の是日文的助词，意思是的。这个字在中文里也常见。",
            ],
            "zh",
        ),
        (["Es ist kalt.", "오늘은 날씨가 좋다.", "Сегодня холодно."], "13a"),
        (["He said 今日は 1 2 3."], "13a"),
        (["1 9 8 4 …"], "13a"),
    ],
)
def test_words_are_parted_as_the_script_of_the_references_asks(
    references: list[str], words: str
) -> None:
    bleu = bleu_for(references)
    # Text that is nearly right counts, in every script.
    assert bleu.corpus_score([text[1:] for text in references], [references]).score > 20
    assert f"tok:{words}|" in str(bleu.get_signature())
