"""What the registered model of one's own photos is called: after their classes, so that two folders of photos are two models."""

import re
from collections.abc import Sequence
from hashlib import sha256

CLASSES = "{classes}"  # in tracking.model

REFUSED = re.compile(r"[/:\x00-\x1f\x7f\ud800-\udfff]")  # what the name of a registered model can't have, or a database can't hold
MOST, LONGEST = 4, 60  # classes that are all named, and characters of their names together
FIRST, SHORT = 2, 20  # classes of many that are named, and characters of each


def model_name(wanted: str, classes: Sequence[str]) -> str:
    """Return tracking.model with the names of the classes in the place of {classes}."""
    return wanted.replace(CLASSES, _joined(classes))


def _joined(classes: Sequence[str]) -> str:
    """Return the classes by name, cats-dogs; where that is long or could be that of others too, the first ones and a hash of all."""
    joined = "-".join(classes)
    if len(classes) <= MOST and len(joined) <= LONGEST and not any("-" in name or REFUSED.search(name) for name in classes):
        return joined
    first = "-".join(REFUSED.sub("_", name)[:SHORT] for name in classes[:FIRST])
    more = f"-and-{len(classes) - FIRST}-more" if len(classes) > FIRST else ""
    digest = sha256("\0".join(classes).encode(errors="surrogatepass")).hexdigest()
    return f"{first}{more}-{digest[:8]}"
