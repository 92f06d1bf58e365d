"""Numbers with their nouns, as people write them."""


def counted(number: int, one: str, several: str = "") -> str:
    """Return "1 image", "2 images", "1,234 images". several: the plural, where it is not `one` with an s."""
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"
