#include "report/table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <string_view>

#include "report/markup.hpp"

namespace alder::report {
namespace {

// Columns on a terminal: code points, which is right for everything but wide East Asian signs.
std::size_t width(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string padded(const std::string& text, std::size_t to, bool right) {
  const std::string space(to - std::min(to, width(text)), ' ');
  return right ? space + text : text + space;
}

std::string without_controls(std::string text) {
  std::ranges::replace_if(
      text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }, '?');
  return text;
}

// The star has its own column, so that marked and unmarked numbers stay aligned.
std::string terminal_text(const Cell& cell, bool starred_column) {
  return without_controls(cell.text) + (cell.best ? "*" : starred_column ? " " : "");
}

std::string markdown_text(const std::string& text) {
  std::string safe;
  for (const char c : without_controls(text)) {
    if (c == '<') {
      safe += "&lt;";
    } else {
      if (c == '|' || c == '*' || c == '_' || c == '`' || c == '\\' || c == '[') safe += '\\';
      safe += c;
    }
  }
  return safe;
}

// Titles may wrap, but never between a number and its unit.
std::string unbroken_units(std::string title) {
  const std::size_t at = title.find(" %");
  if (at != std::string::npos) title.replace(at, 1, "\u00A0");
  return title;
}

}  // namespace

std::string to_text(const Table& table) {
  std::string lines;
  std::vector<std::vector<std::string>> grid(table.rows.size() + 1);
  std::vector<std::size_t> widths;
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    const bool starred = std::ranges::any_of(table.rows, [&](const auto& row) { return row[c].best; });
    grid[0].push_back(table.columns[c].title + (starred ? " " : ""));
    for (std::size_t r = 0; r < table.rows.size(); ++r) {
      grid[r + 1].push_back(terminal_text(table.rows[r][c], starred));
    }
    std::size_t widest = 0;
    for (const auto& row : grid) widest = std::max(widest, width(row[c]));
    widths.push_back(widest);
  }
  for (std::size_t r = 0; r < grid.size(); ++r) {
    std::string line;
    for (std::size_t c = 0; c < widths.size(); ++c) {
      line += (c == 0 ? "" : "  ") + padded(grid[r][c], widths[c], table.columns[c].numeric);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    lines += line + "\n";
    if (r == 0) {
      const std::size_t total = std::accumulate(widths.begin(), widths.end(), 2 * (widths.size() - 1));
      lines += std::string(total, '-') + "\n";
    }
  }
  return lines;
}

std::string to_markdown(const Table& table) {
  std::string lines = "|", rule = "|";
  for (const Column& column : table.columns) {
    lines += " " + markdown_text(column.title) + " |";
    rule += column.numeric ? "---:|" : "---|";
  }
  lines += "\n" + rule + "\n";
  for (const auto& row : table.rows) {
    lines += "|";
    for (const Cell& cell : row) {
      const std::string text = markdown_text(cell.text);
      lines += cell.best ? fmt::format(" **{}** |", text) : fmt::format(" {} |", text);
    }
    lines += "\n";
  }
  return lines;
}

void write_html(const Table& table, Markup& page) {
  page.open("div", {{"class", "scroll"}}).open("table").open("thead").open("tr");
  for (const Column& column : table.columns) {
    page.element("th", {{"scope", "col"}, {"class", column.numeric ? "number" : "text"}},
                 unbroken_units(column.title));
  }
  page.close().close().open("tbody");
  for (const auto& row : table.rows) {
    page.open("tr");
    for (std::size_t c = 0; c < row.size(); ++c) {
      const std::string kind = table.columns[c].numeric ? "number" : "text";
      page.element(c == 0 ? "th" : "td", {{"class", row[c].best ? kind + " best" : kind}}, row[c].text);
    }
    page.close();
  }
  page.close().close().close();
}

}  // namespace alder::report
