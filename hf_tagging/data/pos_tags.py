"""Tag sets of parts of speech, by which a column of them is recognized."""

from __future__ import annotations

_UNIVERSAL, _PENN, _STTS, *_FURTHER = (
    frozenset(names.split())
    for names in (
        "ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X CONJ _",
        "CC CD DT EX FW IN JJ JJR JJS LS MD NN NNS NNP NNPS PDT POS PRP PRP$ RB RBR RBS RP SYM TO UH VB VBD VBG VBN "
        "VBP VBZ WDT WP WP$ WRB . , : ; ( ) # $ `` '' -LRB- -RRB- -LSB- -RSB- -LCB- -RCB- HYPH NFP ADD AFX GW XX USR "
        "HT URL RT TD VPP O \" ' ! ? -- NN|SYM",
        "ADJA ADJD ADV APPR APPRART APPO APZR ART CARD FM ITJ KOUI KOUS KON KOKOM NN NE PDS PDAT PIS PIAT PIDAT PPER "
        "PPOSS PPOSAT PRELS PRELAT PRF PWS PWAT PWAV PAV PROAV PTKZU PTKNEG PTKVZ PTKANT PTKA SPELL TRUNC VVFIN VVIMP "
        "VVINF VVIZU VVPP VAFIN VAIMP VAINF VAPP VMFIN VMINF VMPP XY $, $. $( $[ NNE",
        "N V A ADJ ADV PRON PREP ART CONJ MISC NUM INT PUNC ADP DET PRT X . ADJADV NOUN VERB PROPN PNOUN SYM INTJ PART",
        "N O ^ S Z V L M A R ! D P & T X Y # @ ~ U E $ , G",
        "AD AS BA CC CD CS DEC DEG DER DEV DT ETC FW IJ JJ LB LC M MSP NN NR NT OD ON P PN PU SB SP VA VC VE VV URL",
    )
)
POS_TAG_SETS = (_UNIVERSAL, _PENN, _STTS, *_FURTHER)
"""Universal Dependencies, the Penn Treebank and STTS with what corpora add to them, and further sets."""
POS_TAGS = (_UNIVERSAL | _PENN | _STTS | {"PP$", "-"}) - {"O", "_"}
"""Tags of the first three sets that are not also those of words without an entity."""


def is_pos_tag(value: str) -> bool:
    """Return whether a value is a part of speech of a known tag set."""
    return any(value in known or value.upper() in known for known in POS_TAG_SETS)
