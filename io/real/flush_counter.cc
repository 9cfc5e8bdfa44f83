#include "io/real/flush_counter.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

namespace reel::real {
namespace {

constexpr std::size_t kFlushField = 15;  // counted from 0

std::optional<std::string> content_of(const std::string& path) {
  std::ifstream file(path);
  if (!file) return std::nullopt;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

}  // namespace

std::optional<std::uint64_t> flushes_of_stat(std::string_view content) {
  const char* at = content.data();
  const char* const end = at + content.size();
  for (std::size_t field = 0;; ++field) {
    while (at != end && (*at == ' ' || *at == '\n')) ++at;
    std::uint64_t value = 0;
    const auto [next, error] = std::from_chars(at, end, value);
    if (error != std::errc{}) return std::nullopt;
    if (field == kFlushField) return value;
    at = next;
  }
}

std::optional<FlushCounter> FlushCounter::of(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) return std::nullopt;
  const std::string link =
      "/sys/dev/block/" + std::to_string(major(status.st_dev)) + ":" + std::to_string(minor(status.st_dev));
  std::error_code error;
  std::filesystem::path device = std::filesystem::canonical(link, error);
  if (error) return std::nullopt;
  // Flushes are those of the whole disk; a partition is a directory inside its disk's.
  if (std::filesystem::exists(device / "partition", error)) device = device.parent_path();
  FlushCounter counter((device / "stat").string());
  if (!counter.read()) return std::nullopt;
  return counter;
}

std::optional<std::uint64_t> FlushCounter::read() const {
  const auto content = content_of(source_);
  if (!content) return std::nullopt;
  return flushes_of_stat(*content);
}

}  // namespace reel::real
