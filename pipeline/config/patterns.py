"""What texts of conf/ may look like: a pattern, with the words for what was expected."""

SCHEMES = "https, http, s3, gs, file or package"
ADDRESS = r"(?:https?|s3|gs|file|package)://.+|\.{0,2}/.+"
FILE = r"(?:https?|s3|gs|file|package)://.+/[^/?]+(?:\?.*)?|(?!\w+://).*[^\s/].*"
INSIDE = r"(?!/)(?!(?:.*/)?\.\.(?:/|$)).+"
SHA256 = (r"[0-9a-f]{64}", "64 hexadecimal digits, as sha256sum prints them")
STORE = (r"(?:sqlite|postgresql|mysql|mssql|https?)(?:\+\w+)?:.+", "a database (sqlite:///…, postgresql://…) or a server (http://…)")
FILE_NAME = (INSIDE, "a file name that stays in its folder")
FILE_URL = (ADDRESS, f"a URL that begins with {SCHEMES}, or a path that begins with / or ./")
MIRRORS = (ADDRESS, f"base URLs that begin with {SCHEMES}, or paths that begin with / or ./")
PREFIX = (INSIDE, "a folder or file prefix that stays below the data's folder")
WEIGHTS = (FILE, f"a path, or a file's URL that begins with {SCHEMES}")
LAYERS = (r"\w+(?:\.\w+)*", "names of layers such as conv1 or layer1.0")
TIME = (r"[1-9]\d*[smh]", "a time such as 90s, 30m or 2h")
EXPERIMENT = (r"(?=.*\S)[^\x00-\x1f\x7f]{1,500}", "a name of at most 500 characters, none of them a control character")
MODEL = (r"(?=.*\S)[^/:\x00-\x1f\x7f]{1,256}", "a name of at most 256 characters, without / and : and control characters")
