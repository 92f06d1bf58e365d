"""docs/tour: the tour on a photo that comes with scikit-learn and on the digits of data/prepared.

Make the pages anew:  python -m tests.tour.pages"""

import torch
from sklearn.datasets import load_sample_image

from pipeline.dataset.geometry import fit
from tests.project import ROOT
from tour.material import Material, Photo, prepared_lesson
from tour.tour import write_tour

SIDE = 112  # pixels of the photo on the pages
ABOUT = (
    "The photo is a square cut from [a photo by danielbuechele](https://www.flickr.com/photos/danielbuechele/6061409035/), "
    "[CC BY 2.0](https://creativecommons.org/licenses/by/2.0/), made smaller; it comes with scikit-learn."
)


def make() -> None:
    folder = ROOT / "docs" / "tour"
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    torch.set_num_threads(1)
    photo = Photo(fit(load_sample_image("china.jpg"), SIDE, "crop"), ABOUT)
    write_tour(folder, Material(photo, prepared_lesson(ROOT / "data" / "prepared", seed=0), 0, ROOT / "conf"))


if __name__ == "__main__":
    make()
