"""Small notebooks as in a handbook, with every second cell on a node: they mean the same.

Once the first of each pair is remote, once the second; texts, values and notices are compared.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.jupyter_extension.here.conftest import Notebook

New = Callable[[str | None], Notebook]

BOOKS: dict[str, list[str]] = {
    "numpy_intro": [
        "import numpy as np\nnp.random.seed(0)",
        ("x1 = np.random.randint(10, size=6)\nx2 = np.random.randint(10, size=(3, 4))"),
        "print('ndim', x2.ndim, x2.shape, x2.dtype)",
        "x1[0], x1[-1], x2[0, 0]",
        "x1 = x1.copy()\nx1[0] = 3\nx1",
        "np.arange(1, 10).reshape((3, 3))",
        "from numpy import linspace, pi\nlinspace(0, pi, 3)",
        "np.concatenate([x1, x1])",
        "rng = np.random.RandomState(42)\nrng.randint(10, size=3)",
        "np.__version__ == np.version.version, np.linalg.norm([3, 4])",
    ],
    "ufuncs": [
        "import numpy as np",
        (
            "def compute(values):\n"
            "    output = np.empty(len(values))\n"
            "    for i in range(len(values)):\n"
            "        output[i] = 1.0 / values[i]\n"
            "    return output"
        ),
        "values = np.array([1., 2., 4.])\ncompute(values)",
        "np.add.reduce(np.arange(1, 6))",
        "from scipy import special",
        "special.gamma([1, 5, 10])",
        "print('x =', np.abs(-3)); np.multiply.outer([1, 2], [3, 4])",
        "big_array = np.random.rand(10)\nlen(big_array)",
        "sum(range(5)), min([3, 1])",
    ],
    "sums": [
        "import numpy as np",
        "L = np.random.seed(1); L = np.random.random(100)",
        "sum(L) - np.sum(L) < 1e-9",
        "from numpy import *",
        "type(sum).__name__, sum([[1, 2], [3, 4]])",
        "def total(x): return sum(x) + pi",
        "round(total([1, 2]), 3)",
        "array([1, 2]) + 1",
    ],
    "sorting": [
        "import numpy as np",
        (
            "def selection_sort(x):\n"
            "    for i in range(len(x)):\n"
            "        swap = i + np.argmin(x[i:])\n"
            "        (x[i], x[swap]) = (x[swap], x[i])\n"
            "    return x"
        ),
        "selection_sort(np.array([2, 1, 4, 3, 5]))",
        "np.sort([3, 1, 2])",
        ("rand = np.random.RandomState(42)\nX = rand.randint(0, 10, (4, 6))\nprint(X)"),
        "np.argsort(X, axis=0)",
    ],
    "pandas_objects": [
        "import numpy as np\nimport pandas as pd",
        ("data = pd.Series([0.25, 0.5, 0.75, 1.0], index=['a', 'b', 'c', 'd'])\ndata"),
        "data['b'], data.values, data.index",
        (
            "area = pd.Series({'California': 423967, 'Texas': 695662})\n"
            "pop = pd.Series({'California': 38332521, 'Texas': 26448193})"
        ),
        "states = pd.DataFrame({'population': pop, 'area': area})\nstates",
        "states['density'] = states['population'] / states['area']\nstates.T",
        "ind = pd.Index([2, 3, 5, 7, 11])\nind[::2]",
        "states.loc[states.density > 50, ['population']]",
    ],
    "pandas_groupby": [
        "import pandas as pd, numpy as np",
        (
            "class display(object):\n"
            "    '''Display HTML representation of multiple objects'''\n"
            "    template = '<div>{0}</div>'\n"
            "    def __init__(self, *args):\n"
            "        self.args = args\n"
            "    def __repr__(self):\n"
            "        return '\\n\\n'.join(a + '\\n' + repr(eval(a)) for a in self.args)"
        ),
        "df1 = pd.DataFrame({'employee': ['Bob', 'Lisa'], 'group': ['A', 'B']})",
        "df2 = pd.DataFrame({'employee': ['Lisa', 'Bob'], 'date': [2004, 2008]})",
        "display('df1', 'df2')",
        "df3 = pd.merge(df1, df2)\ndf3",
        (
            "rng = np.random.RandomState(0)\n"
            "df = pd.DataFrame({'key': ['A', 'B', 'A'], 'data': rng.randint(0, 10, 3)})"
        ),
        "df.groupby('key').sum()",
        ("g = df.groupby('key')\nfor (key, group) in g:\n    print(key, group.shape)"),
        "df.groupby('key')['data'].aggregate(['min', 'median', 'max'])",
    ],
    "strings": [
        "import re\nline = 'the quick brown fox'",
        "regex = re.compile(r'\\s+')\nregex.split(line)",
        "m = re.search('fox', line)",
        "m.span(), m.group()",
        "email = re.compile(r'([\\w.]+)@(\\w+)\\.([a-z]{3})')",
        "text = 'To email Guido, try guido@python.org'\nemail.findall(text)",
        "match = email.match('guido@python.org')\nmatch.groups()",
        "match.group(1).upper()",
    ],
    "tour_functions": [
        (
            "def fibonacci(N):\n"
            "    L = []\n"
            "    a, b = 0, 1\n"
            "    while len(L) < N:\n"
            "        a, b = b, a + b\n"
            "        L.append(a)\n"
            "    return L"
        ),
        "fibonacci(10)",
        (
            "def catch_all(*args, **kwargs):\n"
            "    print('args =', args)\n"
            "    print('kwargs =', kwargs)"
        ),
        "catch_all(1, 2, 3, a=4, b=5)",
        "data = [{'first': 'Guido', 'YOB': 1956}, {'first': 'Grace', 'YOB': 1906}]",
        "sorted(data, key=lambda item: item['YOB'])",
        (
            "try:\n"
            "    x = 1 / 0\n"
            "except ZeroDivisionError as err:\n"
            "    print('Error class is:', type(err))"
        ),
        "class MySpecialError(ValueError):\n    pass",
        (
            "try:\n"
            "    raise MySpecialError('here')\n"
            "except MySpecialError as e:\n"
            "    print('caught', e)"
        ),
        "from itertools import permutations, combinations",
        "list(combinations(range(3), 2))",
        "for val in zip('ab', permutations(range(2))):\n    print(val)",
        "import math\nmath.sin(math.pi / 2)",
        "from math import cos, pi\ncos(pi)",
        ("from datetime import datetime\nd = datetime(2015, 7, 4)\nd.strftime('%A')"),
        "import os\nos.path.join('a', 'b')",
    ],
    "sklearn": [
        "import numpy as np\nfrom sklearn.datasets import load_iris, make_blobs",
        "iris = load_iris()\nX, y = iris.data, iris.target",
        (
            "from sklearn.model_selection import train_test_split\n"
            "Xtrain, Xtest, ytrain, ytest = train_test_split(X, y, random_state=1)"
        ),
        ("from sklearn.naive_bayes import GaussianNB\nmodel = GaussianNB().fit(Xtrain, ytrain)"),
        (
            "from sklearn.metrics import accuracy_score, confusion_matrix\n"
            "accuracy_score(ytest, model.predict(Xtest))"
        ),
        "confusion_matrix(ytest, model.predict(Xtest))",
        ("from sklearn.decomposition import PCA\npca = PCA(n_components=2).fit(X)"),
        "np.round(pca.explained_variance_ratio_, 4)",
        (
            "from sklearn.pipeline import make_pipeline\n"
            "from sklearn.preprocessing import PolynomialFeatures\n"
            "from sklearn.linear_model import LinearRegression"
        ),
        (
            "def PolynomialRegression(degree=2, **kwargs):\n"
            "    return make_pipeline(PolynomialFeatures(degree), LinearRegression(**kwargs))"
        ),
        "np.random.seed(5)\nXb, yb = make_blobs(20, centers=2)\nXb[0]",
        (
            "p = PolynomialRegression(2).fit(Xb[:, :1], Xb[:, 1])\n"
            "round(float(p.score(Xb[:, :1], Xb[:, 1])), 6)"
        ),
        (
            "from sklearn.cluster import KMeans\n"
            "km = KMeans(2, n_init=3).fit(Xb)\n"
            "sorted(np.bincount(km.labels_))"
        ),
        (
            "from sklearn.model_selection import cross_val_score\n"
            "cross_val_score(GaussianNB(), X, y, cv=3).round(3)"
        ),
    ],
    "matplotlib": [
        (
            "import matplotlib as mpl\n"
            "import matplotlib.pyplot as plt\n"
            "import numpy as np\n"
            "mpl.use('agg')"
        ),
        "x = np.linspace(0, 10, 10)",
        "fig = plt.figure()\n_ = plt.plot(x, np.sin(x), '-')",
        "fig.savefig('my_figure.png')",
        "import os\nos.path.getsize('my_figure.png') > 1000",
        "fig, ax = plt.subplots(2)\n_ = ax[0].plot(x, np.cos(x))",
        "plt.style.available[:2]",
    ],
    "files": [
        "import pandas as pd, os\nos.makedirs('data', exist_ok=True)",
        "pd.DataFrame({'a': [1, 2], 'b': [3, 4]}).to_csv('data/t.csv', index=False)",
        "df = pd.read_csv('data/t.csv')\ndf",
        "with open('notes.txt', 'w') as f:\n    _ = f.write('one\\n')",
        "with open('notes.txt', 'a') as f:\n    _ = f.write('two\\n')",
        "print(open('notes.txt').read())",
        "import json\njson.dump({'a': 1}, open('x.json', 'w'))",
        "json.load(open('x.json'))",
        "sorted(os.listdir('data'))",
        "df.to_pickle('df.pkl')",
        "pd.read_pickle('df.pkl').equals(df)",
    ],
    "dates": [
        ("from datetime import datetime, timedelta\nimport numpy as np\nimport pandas as pd"),
        ("date = np.array('2015-07-04', dtype=np.datetime64)\ndate + np.arange(3)"),
        "from dateutil import parser\nparser.parse('4th of July, 2015')",
        "pd.to_datetime(['2015-07-04']) + pd.to_timedelta(range(1), 'D')",
        ("s = pd.Series(range(3), index=pd.date_range('2015-07-03', periods=3))\ns['2015']"),
        "s.resample('D').mean()",
    ],
    "collections": [
        ("import collections\nfrom collections import Counter, defaultdict, namedtuple"),
        "P = namedtuple('P', 'x y')\np = P(1, 2)",
        "c = Counter('abca')\nc.most_common(1)",
        "p.x + p.y, p",
        "dd = defaultdict(list)\ndd",
        "dd2 = {**dd, 'k': [1]}\ntype(dd).__name__, dd2",
        ("import xml.etree.ElementTree\nxml.etree.ElementTree.fromstring('<a b=\"1\"/>').attrib"),
        "xml.etree.ElementTree.fromstring('<a b=\"2\"/>').attrib",
        (
            "import concurrent.futures\n"
            "with concurrent.futures.ThreadPoolExecutor(2) as ex:\n"
            "    r = list(ex.map(abs, [-1, -2]))\n"
            "r"
        ),
        "concurrent.futures.wait([])",
    ],
}


def run(new_notebook: New, folder: Path, name: str, remote: int | None) -> list[object]:
    """What the cells of a book show and give; those are remote whose number is odd, or even."""
    folder = folder / str(remote)
    folder.mkdir()
    os.chdir(folder)
    book = new_notebook(None if remote is None else f"gpu-node -s {name}-{remote}")
    shown: list[object] = []
    for number, cell in enumerate(BOOKS[name]):
        is_remote = remote is not None and number % 2 == remote
        ran = book.run(f"%%R\n{cell}" if is_remote else cell)
        shown.append((cell, ran.stdout, repr(ran.value), ran.stderr if is_remote else ""))
    return shown


@pytest.mark.parametrize("name", BOOKS)
def test_a_book_means_the_same_wherever_its_cells_run(
    new_notebook: New, tmp_path: Path, name: str
) -> None:
    plain = run(new_notebook, tmp_path, name, None)
    assert run(new_notebook, tmp_path, name, 0) == plain
    assert run(new_notebook, tmp_path, name, 1) == plain
