// Any bytes as a profile: no crash, no hang; and what is printed of a good profile is good, and says the same.
#include "profile/matrix.h"
#include "profile_input.h"

namespace sandbox {
namespace {

// Some of the cells of its matrix.
void fuzz_cells(const LoadRequest& request, const Loaded& loaded) {
    if (loaded.profile.matrix.empty()) return;
    Diagnostics found;
    const auto cells = expand_matrix(loaded.profile.matrix, *loaded.profile.name, found);
    check_diagnostics(found, request.profile.file.text, loaded.sources);
    const Draft draft = read_draft(request);
    for (std::size_t i = 0; cells && i < cells->size() && i < 4; ++i) {
        const Loaded cell = load_cell(draft, loaded.profile.matrix, (*cells)[i], request);
        check_diagnostics(cell.diagnostics, request.profile.file.text, cell.sources);
        if (has_errors(cell.diagnostics)) continue;
        const std::string printed = profile_to_yaml(cell.profile);
        const Loaded again = load_profile(request_for(printed));
        if (has_errors(again.diagnostics)) stop("the effective profile of a cell is not valid:", printed, again.diagnostics, again.sources);
    }
}

void fuzz(const LoadRequest& request) {
    const Loaded loaded = load_profile(request);
    check_diagnostics(loaded.diagnostics, request.profile.file.text, loaded.sources);
    if (has_errors(loaded.diagnostics)) return;
    fuzz_cells(request, loaded);
    const std::string printed = profile_to_yaml(loaded.profile);
    if (printed.size() > 1 << 20) return;  // variables and aliases can make more than a profile may have
    const Loaded again = load_profile(request_for(printed));
    if (has_errors(again.diagnostics)) stop("the effective profile is not valid:", printed, again.diagnostics, again.sources);
    if (profile_to_yaml(again.profile) != printed)
        stop("the effective profile says something else:", printed, again.diagnostics, again.sources);
}

}  // namespace
}  // namespace sandbox

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    sandbox::fuzz(sandbox::request_for(data, size));
    return 0;
}
