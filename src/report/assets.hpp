// The page's style and script, built in from page.css and page.js.
#pragma once

#include <string_view>

namespace alder::report {

extern const std::string_view kStyle;
extern const std::string_view kScript;

}  // namespace alder::report
