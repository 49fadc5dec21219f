#!/bin/sh
# Verifies a release: verify.sh FOLDER OPTION ..., with cosign's options that say who must have signed it:
#   verify.sh dist/1.2.3 --key cosign.pub
#   verify.sh dist/1.2.3 --certificate-identity NAME --certificate-oidc-issuer URL
# Checks the signature of the folder's SHA256SUMS, the sums of all files, and the signatures, SBOMs and provenance of the
# images and the signature of the chart, in their registry. Take this script and the key from a place that you trust.
set -eu
folder=$1
shift
# A key's signatures are not in Sigstore's public log.
[ "$1" != --key ] || set -- "$@" --insecure-ignore-tlog

quietly() {
  output=$("$@" 2>&1) || { printf 'FAILED: %s\n%s\n' "$*" "$output" >&2; exit 1; }
}

quietly cosign verify-blob "$@" --bundle "$folder/SHA256SUMS.sigstore.json" "$folder/SHA256SUMS"
(cd "$folder" && quietly sha256sum --check --strict SHA256SUMS)
echo "ok  $folder: $(wc -l <"$folder/SHA256SUMS") files"

# Run a subcommand of cosign on an image or a chart in a registry.
of_registry() {
  subcommand=$1 artifact=$2
  shift 2
  case $artifact in localhost:* | 127.0.0.1:*) set -- "$@" --allow-http-registry ;; esac
  quietly cosign "$subcommand" "$@" "$artifact"
}

images=$(grep -oE '[^" ]+@sha256:[0-9a-f]{64}' "$folder/images.json") || {
  echo "FAILED: $folder/images.json names no image" >&2
  exit 1
}
for image in $images; do
  of_registry verify "$image" "$@"
  of_registry verify-attestation "$image" "$@" --type cyclonedx
  of_registry verify-attestation "$image" "$@" --type slsaprovenance1
  echo "ok  $image: signature, SBOM, provenance"
done

chart=$(cat "$folder/chart.txt")
of_registry verify "$chart" "$@"
echo "ok  $chart: signature"
