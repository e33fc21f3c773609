// Writes HTML and SVG that is also well-formed XML. Text and attribute values are escaped here, so
// that no caller can forget it.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace alder::report {

// & < > " ' as entities; control characters and bytes that are no UTF-8 become U+FFFD.
std::string escaped(std::string_view text);

// A coordinate in hundredths of a pixel at most: "12.5", "3".
std::string px(double value);

class Markup {
 public:
  using Attributes = std::initializer_list<std::pair<std::string_view, std::string>>;

  // Attributes with an empty value are left out, so that optional ones need no branch.
  Markup& open(std::string_view tag, Attributes attributes = {});
  Markup& close();  // the innermost open element
  Markup& element(std::string_view tag, Attributes attributes, std::string_view text);
  Markup& leaf(std::string_view tag, Attributes attributes);  // <tag .../>
  Markup& text(std::string_view text);
  Markup& raw(std::string_view markup);  // markup that a Markup made, or the page's own style and script

  // All that was written. Throws std::logic_error while an element is open.
  std::string take();

 private:
  void begin(std::string_view tag, Attributes attributes);

  std::string text_;
  std::vector<std::string> open_;
};

}  // namespace alder::report
