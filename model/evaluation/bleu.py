"""BLEU for every script: some set no spaces between words."""

from collections.abc import Sequence

from sacrebleu import BLEU

from corpusmill.storage.scripts import HAN, KANA, OTHERS, is_among


def bleu_for(references: Sequence[str]) -> BLEU:
    """BLEU of texts in the script that most letters of the references are of.

    Words are parted between spaces, as mteval-v13a does. Where a script sets none between words: in
    Chinese (`zh`) at every character but those of other scripts, and else (`char`) at every one.
    """
    letters = [ord(character) for text in references for character in text if character.isalpha()]
    han, kana, others = (
        sum(is_among(letter, script) for letter in letters) for script in (HAN, KANA, OTHERS)
    )
    if 2 * (han + kana + others) <= len(letters):
        return BLEU(tokenize="13a")
    # Chinese quotes a kana now and then; of Japanese every second letter is one.
    return BLEU(tokenize="zh" if han > others and 20 * kana < han else "char")
