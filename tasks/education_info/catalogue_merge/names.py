"""The authority file: names, what they are also called, and which of them are traps."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Name:
    """An authority record; `forms` are the ways cataloguers wrote it, all resolvable."""

    name_id: str
    heading: str
    variants: tuple[str, ...] = ()
    replaced_by: str = ""
    forms: tuple[str, ...] = ()


# persons and bodies that resolve without trouble
NAMES = (
    Name("n0101", "Abernethy, Isla, 1962-", ("Abernethy, Isla",),
         forms=("Abernethy, Isla", "Isla Abernethy")),
    Name("n0102", "Östberg, Karin, 1951-", ("Östberg, Karin",),
         forms=("Ostberg, Karin", "ÖSTBERG, KARIN, 1951-", "Karin Östberg")),
    Name("n0103", "García Marín, Lucía", ("Lucía García Marín", "Marín, Lucía García"),
         forms=("Garcia Marin, Lucia", "Lucia Garcia Marin", "García Marín, Lucía.")),
    Name("n0104", "O'Dowd, Fintan, 1939-2008", ("O'Dowd, Fintan", "Ó Dubhda, Fionntán"),
         forms=("O'Dowd, Fintan", "O\u2019Dowd, Fintan", "Fintan O'Dowd", "Ó Dubhda, Fionntán")),
    Name("n0105", "Müller-Hahn, Jens", ("Mueller-Hahn, Jens", "Hahn, Jens Müller-"),
         forms=("Muller-Hahn, Jens", "Mueller-Hahn, Jens", "Jens Müller-Hahn")),
    Name("n0106", "Tivermouth Local History Society", ("Tivermouth History Society",),
         forms=("Tivermouth Local History Society", "Tivermouth History Society")),
    Name("n0107", "Okafor, Chidi, 1978-", ("Okafor, C. (Chidi)", "Okafor, Chidi"),
         forms=("Okafor, Chidi", "Okafor, C. (Chidi)", "Chidi Okafor")),
    Name("n0108", "Lindqvist, Per-Arne", ("Lindqvist, P.-A.",),
         forms=("Lindqvist, Per-Arne", "Lindqvist, P. A.", "Per-Arne Lindqvist")),
    Name("n0109", "Devereux, Amélie, 1944-", ("Devereux, Amélie",),
         forms=("Devereux, Amelie", "Amélie Devereux", "Devereux, Amélie, 1944-")),
    Name("n0110", "Institute of Coastal Engineers", ("Coastal Engineers, Institute of",),
         forms=("Institute of Coastal Engineers", "Coastal Engineers, Institute of")),
    Name("n0111", "Brightman, Tess", ("Brightman, Theresa",),
         forms=("Brightman, Tess", "Tess Brightman", "Brightman, Theresa")),
    Name("n0112", "Kowalczyk, Zofia, 1930-2011", ("Kowalczyk, Zofia",),
         forms=("Kowalczyk, Zofia", "Zofia Kowalczyk")),
    Name("n0113", "St. John, Piers", ("Saint John, Piers",),
         forms=("St John, Piers", "Saint John, Piers", "St. John, Piers")),
    Name("n0114", "Ramanathan, Devi, 1968-", ("Ramanathan, Devi",),
         forms=("Ramanathan, Devi", "Devi Ramanathan")),
    Name("n0115", "Vasquez-Doyle, Nell", ("Doyle, Nell Vasquez-",),
         forms=("Vasquez-Doyle, Nell", "Nell Vasquez-Doyle")),
    Name("n0116", "Hargreave, Edmund, 1891-1967", ("Hargreave, Edmund",),
         forms=("Hargreave, Edmund", "Edmund Hargreave", "Hargreave, Edmund, 1891-1967")),
    # two steps of replacement: the forms lead to the last one
    Name("n0131", "Hale-Ward, Rosalind, 1960-", ("Hale-Ward, Rosalind",),
         forms=("Hale, Rosalind", "Rosalind Hale", "Hale-Ward, Rosalind", "Hale, R. M.")),
    Name("n0130", "Hale, Rosalind, 1960-", ("Hale, Rosalind",), replaced_by="n0131"),
    Name("n0129", "Hale, R. M.", (), replaced_by="n0130"),
    Name("n0133", "Quillan, Jo, 1972-", ("Quillan, Joanna", "Quillan, Jo"),
         forms=("Quillan, Joanna", "Jo Quillan", "Quillan, J.")),
    Name("n0132", "Quillan, J.", (), replaced_by="n0133"),
    # namesakes: only the dates tell them apart
    Name("n0141", "Smith, John, 1948-", ("Smith, John", "Smith, J."),
         forms=("Smith, John, 1948-",)),
    Name("n0142", "Smith, John, 1971-", ("Smith, John", "Smith, Jack"),
         forms=("Smith, John, 1971-", "Smith, Jack")),
    Name("n0143", "Morgan, Elin, 1955-", ("Morgan, Elin",), forms=("Morgan, Elin, 1955-",)),
    Name("n0144", "Morgan, Elin, 1983-", ("Morgan, Elin", "Morgan, E. (Elin)"),
         forms=("Morgan, Elin, 1983-", "Morgan, E. (Elin)")),
)  # fmt: skip
PLAIN = NAMES[:16]
REPLACED = (NAMES[16], NAMES[19])
DATED = NAMES[21:]
AMBIGUOUS = ("Smith, John", "John Smith", "Morgan, Elin", "Elin Morgan")
UNKNOWN = ("Penhaligon, Ruth", "Ruth Penhaligon", "Dray, Oswin", "Farsight Trust", "Hale, Robert")
