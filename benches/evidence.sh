#!/usr/bin/env bash
# edbtool export of a database within disk images and archives against the same database loose, warm, in one run; then `find`
# over a sparse image of 100 GB, and beside it dissect.target, which reads SRUM out of the same E01.
# usage: benches/evidence.sh [MEBIBYTES] [FOLDER]      (EDBTOOL names a program to measure instead of a new build)
# Needs root, GNU time, zstd, ntfs-3g, sfdisk, qemu-img, ewfacquire, zip and 7z; EDBKIT_PYTHON with dissect.target for the last part.
set -euo pipefail
cd "$(dirname "$0")/.."
mebibytes=${1:-256}
folder=$(realpath -m "${2:-target/bench}")
rounds=${ROUNDS:-3}
# Rows of a real SRUM database, of 44 columns.
table='{5C8CF1C7-7257-4F13-B223-970EF5939312}'
mkdir -p "$folder"
if [ -z "${EDBTOOL:-}" ]; then
    cargo build --quiet --release --bin edbtool
    EDBTOOL=${CARGO_TARGET_DIR:-target}/release/edbtool
fi
work=$folder/evidence; rm -rf "$work"; mkdir -p "$work/loose"
trap 'rm -rf "$work"' EXIT
set=$folder/crash-p8k
[ -d "$set" ] || zstd -dc testdata/crash-p8k.tar.zst | tar x -C "$folder"
database=$folder/srum-$mebibytes.edb
if [ ! -f "$database" ]; then
    zstd -dc testdata/real/museum.tar.zst | tar x -C "$folder"
    srum=$folder/museum/SRUM/Win11/RathbunVM/Clean/SRUDB.dat
    cargo xtask big-table "$database" "$mebibytes" "$srum" "$table"
fi
cp "$database" "$work/loose/SRUDB.dat"

volume=$((mebibytes * 5 / 4 + 64))
testdata/images/make "$work/loose" "$work/raw" "$volume" plain
MANY=1 testdata/images/make "$work/loose" "$work/packed" $((volume * 3))
qemu-img convert -O qcow2 "$work/raw" "$work/qcow2"
qemu-img convert -O vmdk "$work/raw" "$work/vmdk"
qemu-img convert -O vhdx "$work/raw" "$work/vhdx"
ewfacquire -u -q -c fast -t "$work/fast" "$work/raw" >/dev/null 2>&1
ewfacquire -u -q -c none -t "$work/none" "$work/raw" >/dev/null 2>&1
(cd "$work/loose" && zip -q -0 "$work/stored.zip" SRUDB.dat && zip -q -1 "$work/deflated.zip" SRUDB.dat)

# Runs a command and prints its wall time and peak memory; a database with findings is no failure here.
measure() { /usr/bin/time -q -o "$work/time" -f "%e %M" "$@" >/dev/null 2>&1 || [ $? = 1 ]; tail -1 "$work/time"; }
export_of() { rm -rf "$work/rows"; measure "$EDBTOOL" -q export "$1" --no-hash --to "$work/rows"; }
in_image=::/Windows/System32/sru/SRUDB.dat
places() {
    echo "loose $work/loose/SRUDB.dat 0"
    echo "raw $work/raw$in_image 1.15"
    echo "qcow2 $work/qcow2$in_image 1.15"
    echo "vmdk $work/vmdk$in_image 1.15"
    echo "vhdx $work/vhdx$in_image 1.15"
    echo "E01-none $work/none.E01$in_image 1.5"
    echo "E01-fast $work/fast.E01$in_image 1.5"
    echo "stored-zip $work/stored.zip::SRUDB.dat 1.3"
    echo "deflated-zip $work/deflated.zip::SRUDB.dat -"
    echo "compressed-NTFS $work/packed::/packed/SRUDB.dat -"
    echo "NTFS-in-pieces $work/packed::/pieces/SRUDB.dat -"
}
echo "export of $mebibytes MiB, median of $rounds"
for _ in $(seq "$rounds"); do
    places | while read -r name place most; do
        cat "${place%%::*}" >/dev/null
        echo "$name $(export_of "$place") $most"
    done
done | awk '
    {
        if (!($1 in count)) order[++names] = $1
        n = ++count[$1]
        for (i = n; i > 1 && time[$1, i - 1] > $2; i--) time[$1, i] = time[$1, i - 1]
        time[$1, i] = $2; most[$1] = $4
        if ($3 > peak[$1]) peak[$1] = $3
    }
    END {
        loose = time["loose", int((count["loose"] + 1) / 2)]
        for (i = 1; i <= names; i++) {
            name = order[i]; median = time[name, int((count[name] + 1) / 2)]
            printf "%-16s %6.2f s, %d KiB", name, median, peak[name]
            if (name != "loose") printf ", %.2f times the loose file%s", median / loose, most[name] == "-" ? "" : " (at most " most[name] ")"
            print ""
        }
    }'

# 100 GB, sparse: only what the file system says and first pages are read.
qemu-img create -q -f raw "$work/sparse" 100G
mkntfs -F -Q -q "$work/sparse" >/dev/null 2>&1
mkdir "$work/at"
ntfs-3g "$work/sparse" "$work/at"
mkdir -p "$work/at/Windows/System32/sru" "$work/at/Users"
for number in $(seq 200); do
    mkdir "$work/at/Users/$number"
    for file in $(seq 50); do echo "$file" > "$work/at/Users/$number/file $file.txt"; done
done
cp "$set/state/"* "$work/at/Windows/System32/sru"
truncate -s 40G "$work/at/Users/1/large"
umount "$work/at"
echo "find over a sparse image of 100 GB with $((200 * 50)) other files: $(measure "$EDBTOOL" -q find "$work/sparse" | cut -d' ' -f1) s"

# A case of many zips: real databases, each with a page of its own behind its end, so that none equals another.
zips=${ZIPS:-200}
real=$folder/museum/SRUM
[ -d "$real" ] || zstd -dc testdata/real/museum.tar.zst | tar x -C "$folder"
rm -rf "$work/rows" "$work/zips"; mkdir -p "$work/zips" "$work/one"
for number in $(seq "$zips"); do
    cp "$real/Win1$((number % 2))"/*/Clean/SRUDB.dat "$work/one/SRUDB.dat"
    head -c 4096 /dev/urandom >> "$work/one/SRUDB.dat"
    (cd "$work/one" && zip -q -1 "$work/zips/HOST-$number.zip" SRUDB.dat)
done
seconds() { measure "$@" | cut -d' ' -f1; }
unpack() { mkdir "$work/unpacked"; for zip in "$work"/zips/*.zip; do unzip -q -o "$zip" -d "$work/unpacked/$(basename "$zip" .zip)"; done; }
export -f unpack; export work
for round in $(seq "$rounds"); do
    rm -rf "$work/unpacked" "$work/rows" "$work"/case-*
    cat "$work"/zips/* >/dev/null
    echo "$(seconds bash -c unpack)" \
        "$(seconds "$EDBTOOL" -q export --recursive "$work/unpacked" --decoded --format parquet --threads 1 --to "$work/rows")" \
        "$(seconds "$EDBTOOL" -q collect "$work/zips" --threads 1 --to "$work/case-1")" \
        "$(seconds "$EDBTOOL" -q collect "$work/zips" --threads 2 --to "$work/case-2")"
done | sort -n -k3 | awk -v zips="$zips" '
    { unpack[NR] = $1; rows[NR] = $2; one[NR] = $3; two[NR] = $4 }
    END {
        m = int((NR + 1) / 2)
        printf "a case of %d zips: unzip %.2f s and export of all of them %.2f s; collect %.2f s on one thread, %.2f s on two\n", zips,
            unpack[m], rows[m], one[m], two[m]
        printf "  ratio %.2f (at most 1.3), two threads %.2f times one (at least 1.6)\n", one[m] / (unpack[m] + rows[m]), one[m] / two[m]
    }'

python=${EDBKIT_PYTHON:-python3}
if "$python" -c "import dissect.target" 2>/dev/null; then
    dissect='
import sys
from dissect.target import Target
from dissect.database.ese.ese import ESE
target = Target.open(sys.argv[1])
for volume in target.filesystems:
    path = volume.path("/Windows/System32/sru/SRUDB.dat")
    if path.exists():
        rows = sum(1 for table in ESE(path.open("rb")).tables() if not table.name.startswith("MSys") for _ in table.records())
        print(rows)
'
    echo "find and read all rows out of the same E01: dissect.target $(measure "$python" -c "$dissect" "$work/fast.E01" | cut -d' ' -f1) s," \
        "edbtool $(export_of "$work/fast.E01$in_image" | cut -d' ' -f1) s"
else
    echo "dissect.target: NOT MEASURED, EDBKIT_PYTHON has it not"
fi
