-- A format for tests alone, part of no release: format 1 without a guard, which reads as 0.
formats['0'] = {
  expires_at = 36,
  owner = 108,
  read = function(head)
    local version, ends_at, expires_at, touched_at, tag, entered_at, length =
      string.match(head, '^0 ([%da-f]+) (%d+) (%d+) (%d+) ((%d+)%-[%da-f]+) (%d%d%d) ')
    return version, NO_GUARD, ends_at, expires_at, touched_at, tag, entered_at, length
  end,
  head = function(version, _, ends_at, expires_at, touched_at, tag, length)
    return '0 ' .. version .. ' ' .. ends_at .. ' ' .. expires_at .. ' ' .. touched_at
      .. ' ' .. tag .. ' ' .. length .. ' '
  end,
}
