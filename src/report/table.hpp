// A table once, written three ways: aligned text for a terminal, Markdown, HTML.
#pragma once

#include <string>
#include <vector>

namespace alder::report {

class Markup;

struct Column {
  std::string title;
  bool numeric = true;  // numbers are set flush right
};

struct Cell {
  std::string text;
  bool best = false;  // text: "*" after it, Markdown and HTML: bold
};

struct Table {
  std::vector<Column> columns;
  std::vector<std::vector<Cell>> rows;  // each as long as `columns`
};

// Control characters become '?', so that a name cannot drive the terminal.
std::string to_text(const Table& table);
std::string to_markdown(const Table& table);
void write_html(const Table& table, Markup& page);

}  // namespace alder::report
