// Checks that markup is well-formed XML, as far as the report uses it: balanced tags, quoted and
// distinct attributes, known entities, no stray '<'. Contents of <style> and <script> are passed over.
#pragma once

#include <array>
#include <cctype>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace alder::report::test {

class WellFormed {
 public:
  // "" when all is well, else what is wrong with the beginning of the place.
  static std::string check(std::string_view markup) {
    WellFormed checker(markup);
    if (!checker.document()) return checker.complaint_;
    return "";
  }

 private:
  explicit WellFormed(std::string_view markup) : rest_(markup) {}

  bool wrong(std::string_view what) {
    complaint_ = std::string(what) + " at: " + std::string(rest_.substr(0, 80));
    return false;
  }

  bool document() {
    if (rest_.starts_with("<!DOCTYPE html>")) rest_.remove_prefix(15);
    while (!rest_.empty()) {
      if (rest_.front() == '<') {
        if (!tag()) return false;
      } else if (!text_until('<')) {
        return false;
      }
    }
    return open_.empty() || wrong("unclosed <" + open_.back() + ">");
  }

  bool text_until(char end) {
    while (!rest_.empty() && rest_.front() != end) {
      if (rest_.front() == '<') return wrong("'<' inside a value");
      if (rest_.front() == '&' && !entity()) return wrong("unknown entity");
      if (static_cast<unsigned char>(rest_.front()) < 0x20 && rest_.front() != '\n' &&
          rest_.front() != '\t') {
        return wrong("control character");
      }
      rest_.remove_prefix(1);
    }
    return true;
  }

  bool entity() const {
    constexpr std::array<std::string_view, 5> kKnown{"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"};
    for (const auto known : kKnown) {
      if (rest_.starts_with(known)) return true;
    }
    return false;
  }

  std::string name() {
    std::size_t end = 0;
    while (end < rest_.size() && (std::isalnum(static_cast<unsigned char>(rest_[end])) || rest_[end] == '-'))
      ++end;
    const std::string found(rest_.substr(0, end));
    rest_.remove_prefix(end);
    return found;
  }

  bool take(std::string_view expected) {
    if (!rest_.starts_with(expected)) return false;
    rest_.remove_prefix(expected.size());
    return true;
  }

  bool tag() {
    if (take("</")) {
      const std::string closed = name();
      if (open_.empty() || open_.back() != closed) return wrong("</" + closed + "> closes nothing");
      open_.pop_back();
      return take(">") || wrong("bad end tag");
    }
    take("<");
    const std::string opened = name();
    if (opened.empty()) return wrong("tag without a name");
    std::set<std::string> attributes;
    while (take(" ")) {
      const std::string attribute = name();
      if (attribute.empty() || !attributes.insert(attribute).second)
        return wrong("bad or repeated attribute");
      if (!take("=\"") || !text_until('"') || !take("\"")) return wrong("attribute without a quoted value");
    }
    if (take("/>")) return true;
    if (!take(">")) return wrong("bad start tag");
    if (opened == "style" || opened == "script")
      rest_.remove_prefix(std::min(rest_.size(), rest_.find("</" + opened)));
    open_.push_back(opened);
    return true;
  }

  std::string_view rest_;
  std::vector<std::string> open_;
  std::string complaint_;
};

}  // namespace alder::report::test
