"""Writes a table of records of signatures/parts (its format: signatures/README.md)."""


def toml(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    if "\\" in value and "'" not in value:
        return "'" + value + "'"
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def write(folder, name, title, sources, key, fields, records):
    """A field without a value is left out of its record."""
    lines = [f"title = {toml(title)}", "sources = ["] + [f"  {toml(source)}," for source in sources]
    lines += ["]", f"key = {toml(key)}", "", "[fields]"]
    fields = {**fields, "certainty": "text", "source": "text"}
    lines += [f'{field} = "{kind}"' for field, kind in fields.items()]
    lines += ["", "[records]"]
    for record in sorted(records):
        known = {field: records[record].get(field) for field in fields}
        inside = ", ".join(f"{field} = {toml(value)}" for field, value in known.items() if value not in (None, "", []))
        lines.append(f'"{record}" = {{ {inside} }}')
    (folder / f"{name}.toml").write_text("\n".join(lines) + "\n")
