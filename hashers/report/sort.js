for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const headers = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  headers.forEach((header, column) => {
    header.querySelector("button").addEventListener("click", () => {
      const text = header.classList.contains("text");
      const before = header.getAttribute("aria-sort");
      const sign = before === (text ? "ascending" : "descending") ? -1 : 1;
      const down = text ? -sign : sign;
      headers.forEach((other) => other.removeAttribute("aria-sort"));
      header.setAttribute("aria-sort", down > 0 ? "descending" : "ascending");
      const key = (row) => row.cells[column].dataset.value;
      const rows = [...body.rows].sort((a, b) => {
        const [x, y] = [key(a), key(b)];
        if (x === "" || y === "") return (x === "") - (y === "");
        return down * (text ? y.localeCompare(x) : Number(y) - Number(x));
      });
      rows.forEach((row) => row.classList.remove("first"));
      body.append(...rows);
    });
  });
}
