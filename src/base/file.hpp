// Files that are whole or absent.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace alder {

// Writes `parts` one after another to a temporary file beside `path`, fsyncs it, renames it over
// `path` and fsyncs the folder. Throws Error naming path, the failing call and its reason (disk
// full, no permission); whatever `path` held before is then still there, and no temporary is left.
void write_atomically(const std::filesystem::path& path, std::span<const std::span<const std::byte>> parts);
void write_atomically(const std::filesystem::path& path, std::string_view text);

// Whole content. Throws Error naming the file and the reason.
std::vector<std::byte> read_file(const std::filesystem::path& path);
std::string read_text(const std::filesystem::path& path);

// Lower-case hexadecimal SHA-256 of the bytes, or of `parts` one after another (libcrypto).
std::string sha256(std::span<const std::byte> bytes);
std::string sha256(std::span<const std::span<const std::byte>> parts);

}  // namespace alder
