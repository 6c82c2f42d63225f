# shellcheck shell=bash
# The guest's kernel and initramfs: a distribution's kernel package, unpacked and never installed, in a cache.
#
# A build lies in CACHE/KEY, where KEY is made of the package, its version and this recipe. It is complete as
# soon as it has that name. Whoever uses it holds a shared lock on CACHE/KEY.lock; whoever builds, an exclusive one on
# CACHE/lock.

# What the guest needs before it can see this machine's files; IPVS, which is what it is there for; and what every
# cluster has, because loading it later takes ten times as long.
boot_modules=(virtio_pci virtio_console virtio_rng 9p 9pnet_virtio overlay ip_vs veth bridge)

# Not in any story; they are most of the package.
unused_drivers=(sound drivers/{gpu,media,infiniband,staging,iio,usb,input,hid,scsi,ata,mmc,mtd,nfc,leds,hwmon,isdn,bluetooth}
    drivers/net/{wireless,ethernet,wwan,can,usb,fddi,arcnet} net/{wireless,mac80211,bluetooth,can})

# Where builds are looked for. The last is where this user builds.
cache_places() {
    if [[ -n ${XDG_CACHE_HOME-} ]]; then
        echo "$XDG_CACHE_HOME/lvs-lab"
    elif [[ $EUID -eq 0 ]]; then
        echo /var/cache/lvs-lab
    else
        printf '%s\n' /var/cache/lvs-lab "${HOME:?}/.cache/lvs-lab"
    fi
}

recipe_hash() { cat "$lab/parts/kernel.bash" "$lab/parts/init" | sha256sum | cut -c1-12; }

depends_of() { apt-cache show --no-all-versions "$1" 2>/dev/null | sed -n 's/^Depends: //p' | tr ',|' '\n\n' | sed 's/^ *//; s/ .*//'; }
version_of() { apt-cache show --no-all-versions "$1" 2>/dev/null | sed -n 's/^Version: //p' | head -n 1; }

# Sets `packages`: the kernel image the distribution would install today, and on Ubuntu its modules.
wanted_packages() {
    local meta image
    packages=()
    for meta in linux-image-amd64 linux-image-generic; do
        image=$(depends_of "$meta" | grep -m 1 '^linux-image-[0-9]') && break
    done
    [[ -n $image ]] || return 1
    packages=("$image=$(version_of "$image")")
    local modules
    for modules in "${image/image/modules}" "${image/image/modules-extra}"; do
        [[ -n $(version_of "$modules") ]] && packages+=("$modules=$(version_of "$modules")")
    done
    return 0
}

# Sets `build` to the directory of a build that is up to date, making it where there is none.
find_build() {
    [[ $(dpkg --print-architecture 2>/dev/null) == amd64 ]] ||
        fail 69 "the guest needs Debian or Ubuntu on amd64; elsewhere only a kernel with IPVS, and root, will do"
    local places place recipe
    mapfile -t places < <(cache_places)
    recipe=$(recipe_hash)
    for place in "${places[@]}"; do
        # Asking apt takes a second, so ask only when its lists have changed since.
        if [[ -r $place/current-$recipe && ! /var/lib/apt/lists -nt $place/current-$recipe ]]; then
            use_build "$place" "$(<"$place/current-$recipe")" && return
        fi
    done
    mkdir -p -- "$place" || fail 125 "cannot make the cache directory $place"
    exec 8>"$place/lock"
    flock 8
    local key
    key=$(wanted_key "$recipe") || key=
    if [[ -z $key ]]; then
        # Without an index the last build is better than none.
        [[ -r $place/current-$recipe ]] && use_build "$place" "$(<"$place/current-$recipe")" && exec 8>&- && return
        fail 69 "apt knows no kernel package (linux-image-amd64 or linux-image-generic); run apt-get update as root"
    fi
    if [[ ! -d $place/$key ]]; then
        wanted_packages
        make_build "$place" "$key"
    fi
    echo "$key" >"$place/current-$recipe"
    use_build "$place" "$key" || fail 125 "the build $place/$key is not complete; remove it"
    remove_old_builds "$place" "$key"
    exec 8>&-
}

wanted_key() {
    if ! wanted_packages; then
        [[ $EUID -eq 0 ]] || return 1
        apt update >&2 || return 1
        wanted_packages || return 1
    fi
    local key="${packages[0]/=/_}-$1"
    echo "${key//[^A-Za-z0-9._-]/_}"
}

use_build() {
    [[ -n $2 && -r $1/$2/vmlinux && -r $1/$2/initramfs ]] || return 1
    build=$1/$2
    exec 9<"$build.lock" && flock --shared 9 && [[ -r $build/initramfs ]] || return 1
    # When it was last used, where we may say so.
    [[ ! -w $build.lock ]] || touch "$build.lock"
}

# Those that no checkout on this machine has used for a week.
remove_old_builds() {
    local lock old
    find "$1" -maxdepth 1 -name 'current-*' -mtime +7 -delete
    find "$1" -maxdepth 1 -name '*.lock' -mtime +7 | while read -r lock; do
        old=${lock%.lock}
        [[ $old == "$1/$2" ]] || ( flock --nonblock 7 && rm -rf -- "$old" "$lock" ) 7<"$lock"
    done
}

# make_build PLACE KEY: in a directory beside it, renamed when complete.
make_build() {
    local new=$1/.new.$$ package
    rm -rf -- "$1"/.new.*
    mkdir -p -- "$new/debs" "$new/tree"
    whisper "building $1/$2"
    say "fetching the guest's kernel, ${packages[0]%%=*} (once)"
    fetch "$new/debs" "${packages[@]}"
    for package in "$new"/debs/*.deb; do
        dpkg -x "$package" "$new/tree" || fail 125 "cannot unpack $package"
    done
    unpack_kernel "$new"/tree/boot/vmlinuz-* "$new/vmlinux"
    mv -- "$new"/tree/lib/modules "$new/modules" 2>/dev/null || mv -- "$new"/tree/usr/lib/modules "$new/modules"
    rm -rf -- "$new/tree" "$new/debs"
    local release unused
    release=$(ls "$new/modules")
    for unused in "${unused_drivers[@]}"; do rm -rf -- "$new/modules/$release/kernel/$unused"; done
    # depmod and modprobe look below lib/modules.
    mkdir -p "$new/lib" && mv -- "$new/modules" "$new/lib/modules"
    depmod -b "$new" "$release" || fail 125 "depmod failed for $release"
    make_initramfs "$new" "$release"
    chmod -R a+rX "$new"
    : >"$1/$2.lock"
    mv -- "$new" "$1/$2"
}

# unpack_kernel FROM TO: the guest would take longer to unpack its kernel than for all the rest of booting, so it
# gets the ELF file that is packed in the image, which qemu starts by its PVH entry. Offsets: the kernel's
# Documentation/arch/x86/boot.rst, fields setup_sects, payload_offset and payload_length.
unpack_kernel() {
    local setup offset length
    setup=$(od -An -tu1 -j497 -N1 "$1")
    offset=$(od -An -tu4 -j584 -N4 "$1")
    length=$(od -An -tu4 -j588 -N4 "$1")
    tail -c "+$(((setup + 1) * 512 + offset + 1))" "$1" | head -c "$length" >"$2.packed"
    case $(od -An -tx1 -N4 "$2.packed" | tr -d ' ') in
        # The size that stands behind the payload is not part of it.
        fd377a58) xz -dc --single-stream "$2.packed" ;;
        28b52ffd) head -c -4 "$2.packed" | zstd -qdc ;;
        02214c18) head -c -4 "$2.packed" | lz4 -qdc ;;
        1f8b*) gzip -qdc "$2.packed" ;;
    esac >"$2"
    rm -- "$2.packed"
    [[ $(od -An -tx1 -N4 "$2" | tr -d ' ') == 7f454c46 ]] || fail 125 "cannot unpack the kernel image $1"
}

# fetch DIRECTORY PACKAGE...: as root with a new index where the old one leads nowhere.
fetch() {
    local directory=$1
    shift
    (
        cd -- "$directory" || exit
        apt download "$@" 2>fetch.log ||
            { [[ $EUID -eq 0 ]] && apt update && apt download "$@"; } 2>fetch.log || { cat fetch.log >&2; exit 1; }
    ) || fail 125 "cannot download $* with apt-get download"
}

# A busybox that needs no libraries: this machine's if it is one, else the package's, not installed either.
static_busybox() {
    local busybox
    busybox=$(command -v busybox)
    if [[ -n $busybox ]] && ! ldd "$busybox" >/dev/null 2>&1; then
        cp -- "$busybox" "$1"
        return
    fi
    fetch "$2" busybox-static
    dpkg -x "$2"/busybox-static_*.deb "$2/unpacked" || fail 125 "cannot unpack busybox-static"
    cp -- "$(find "$2/unpacked" -path '*/bin/busybox' -type f)" "$1"
}

make_initramfs() {
    local new=$1 release=$2 tree=$1/tree module kind file
    mkdir -p "$tree"/{bin,modules,proc,sys,dev,host,layer,new} "$new/fetch"
    static_busybox "$tree/bin/busybox" "$new/fetch"
    cp -- "$lab/parts/init" "$tree/init"
    chmod 755 "$tree/init" "$tree/bin/busybox"
    # In the order of modprobe's answer, each once, without compression, which busybox's insmod does not know.
    for module in "${boot_modules[@]}"; do
        modprobe -d "$new" -S "$release" --show-depends "$module" ||
            fail 125 "the kernel package has no module $module"
    done | while read -r kind file _; do
        [[ $kind == insmod ]] || continue
        file=${file#"$new"}
        module=$(basename "${file%%.ko*}")
        [[ -e $tree/modules/$module.ko ]] && continue
        case $file in
            *.ko) cp -- "$new$file" "$tree/modules/$module.ko" ;;
            *.xz) xz -dc "$new$file" >"$tree/modules/$module.ko" ;;
            *.zst) zstd -qdc "$new$file" >"$tree/modules/$module.ko" ;;
            *.gz) gzip -dc "$new$file" >"$tree/modules/$module.ko" ;;
        esac || exit
        echo "$module"
    done >"$tree/modules/order"
    [[ ${PIPESTATUS[*]} == "0 0" ]] || fail 125 "cannot collect the guest's modules"
    # Not compressed: unpacking it costs the guest more than reading it.
    (cd "$tree" && find . | cpio -o -H newc --quiet) >"$new/initramfs" || fail 125 "cannot make the initramfs"
    rm -rf -- "$tree" "$new/fetch"
}
