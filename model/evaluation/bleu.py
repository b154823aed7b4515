"""BLEU for every script: some set no spaces between words."""

from collections.abc import Sequence

from sacrebleu import BLEU

_HAN = (range(0x3400, 0x4DC0), range(0x4E00, 0xA000), range(0x20000, 0x32000))
_KANA = (range(0x3040, 0x3100), range(0x31F0, 0x3200), range(0xFF66, 0xFF9E))
# Thai and Lao, Tibetan, Burmese, Khmer, New Tai Lue, Tai Tham, Balinese, Javanese, Yi.
_OTHERS_WITHOUT_SPACES = (
    *(range(0x0E00, 0x1000), range(0x1000, 0x10A0), range(0x1780, 0x1800), range(0x1980, 0x1AB0)),
    *(range(0x1B00, 0x1B80), range(0xA000, 0xA4D0), range(0xA980, 0xAA00), range(0xAA60, 0xAA80)),
)


def bleu_for(references: Sequence[str]) -> BLEU:
    """BLEU of texts in the script that most letters of the references are of.

    Words are parted between spaces, as mteval-v13a does. Where a script sets none between words: in
    Chinese (`zh`) at every character but those of other scripts, and else (`char`) at every one.
    """
    letters = [ord(character) for text in references for character in text if character.isalpha()]
    han, kana, others = (
        sum(letter in block for letter in letters for block in blocks)
        for blocks in (_HAN, _KANA, _OTHERS_WITHOUT_SPACES)
    )
    if 2 * (han + kana + others) <= len(letters):
        return BLEU(tokenize="13a")
    # Chinese quotes a kana now and then; of Japanese every second letter is one.
    return BLEU(tokenize="zh" if han > others and 20 * kana < han else "char")
