# shellcheck shell=bash
# Whether this machine's KVM works. /dev/kvm may be there and refuse to make a machine, or make one that never runs.

# A boot sector that says 0x10 to the debug-exit port and halts: mov dx,0x501; mov al,0x10; out dx,al; hlt; jmp $-1
boot_sector() {
    printf '\xba\x01\x05\xb0\x10\xee\xf4\xeb\xfd'
    head -c 501 /dev/zero
    printf '\x55\xaa'
}

# Runs that boot sector on it; qemu's exit status is then 2 * 0x10 + 1.
kvm_works() {
    [[ -r /dev/kvm && -w /dev/kvm ]] || return 1
    boot_sector >"$work/sector"
    timeout -k 1 5 qemu-system-x86_64 -accel kvm -machine pc -m 16 -nodefaults -no-user-config -display none \
        -device isa-debug-exit,iobase=0x501,iosize=1 -drive "file=$work/sector,format=raw,readonly=on" \
        >/dev/null 2>"$work/kvm.log" </dev/null
    [[ $? -eq 33 ]]
}
