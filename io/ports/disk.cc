#include "io/ports/disk.h"

#include <algorithm>

namespace reel::io {

bool disk_name_allowed(std::string_view name) {
  if (name.empty() || name.size() > 64 || name == "." || name == "..") return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
  });
}

const char* name_of(DiskStatus status) {
  switch (status) {
    case DiskStatus::ok: return "ok";
    case DiskStatus::not_found: return "not found";
    case DiskStatus::exists: return "exists";
    case DiskStatus::io_error: return "I/O error";
    case DiskStatus::no_space: return "no space";
    case DiskStatus::read_only: return "read-only";
    case DiskStatus::refused: return "refused";
  }
  return "?";
}

const char* name_of(DiskVerb verb) {
  switch (verb) {
    case DiskVerb::list: return "list";
    case DiskVerb::create: return "create";
    case DiskVerb::open: return "open";
    case DiskVerb::close: return "close";
    case DiskVerb::read: return "read";
    case DiskVerb::write: return "write";
    case DiskVerb::sync: return "sync";
    case DiskVerb::remove: return "remove";
    case DiskVerb::sync_directory: return "sync_directory";
  }
  return "?";
}

}  // namespace reel::io
